-- The share of judged dialogues in which the judge finds an error, where it is above the limit.
SELECT count(*) AS judged, count(*) FILTER (NOT judge_correct) AS errors, errors / judged AS share
FROM this_run
WHERE judge_status = 'judged'
HAVING judged >= $least AND share > $limit
