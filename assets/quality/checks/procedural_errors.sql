-- description: The judge finds an error in no more of this run's judged dialogues than in the paper's data
--   (4.1 %), from 100 judged dialogues on. Passes where no judge gave a verdict.
-- severity: warn
-- parameters: {limit: 0.041, least: 100}
SELECT count(*) AS judged, count(*) FILTER (NOT judge_correct) AS errors, errors / judged AS share
FROM this_run
WHERE judge_status = 'judged'
HAVING judged >= $least AND share > $limit
