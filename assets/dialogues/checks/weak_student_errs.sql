-- description: Reviewed first answers are sometimes wrong and sometimes right (from 30 with a known answer on).
-- severity: warn
-- parameters: {most: 0.95, least: 30, reviewed: $scenarios.reviewed}
--
-- Where the first answers are nearly all right there is nothing to correct; where all are wrong, nothing to confirm.
SELECT
    count(*) AS known,
    avg(CASE WHEN first_answer = 'right' THEN 1.0 ELSE 0.0 END) AS right_share
FROM this_run
WHERE list_contains($reviewed, scenario) AND status = 'complete' AND first_answer <> 'unknown'
HAVING count(*) >= $least AND (right_share > $most OR right_share = 0)
