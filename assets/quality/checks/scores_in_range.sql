-- description: Scores and shares are between 0 and 1.
-- blocking: true
--
-- NaN is not between 0 and 1 either.
SELECT dialogue_id, quality_score, reference_overlap, copied_share, repetition
FROM this_run
WHERE NOT (
    quality_score BETWEEN 0 AND 1
    AND reference_overlap BETWEEN 0 AND 1
    AND copied_share BETWEEN 0 AND 1
    AND repetition BETWEEN 0 AND 1
)
ORDER BY dialogue_id
