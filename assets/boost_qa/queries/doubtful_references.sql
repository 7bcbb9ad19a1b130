-- The seeds whose reference answer the judge finds wrong or contradictory, with the number of dialogues that say so.
SELECT seed_id AS seed, source, count(*) AS dialogues
FROM (SELECT seed_id, source, unnest(judge_findings) AS found FROM taken_scores)
WHERE found.finding = 'reference_doubtful' AND NOT found.good
GROUP BY ALL
ORDER BY seed
