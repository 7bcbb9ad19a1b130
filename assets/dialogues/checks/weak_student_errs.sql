-- Error correction whose first answers are nearly all right, or all wrong, where that is known: then there is nothing
-- to correct, or nothing to agree with.
SELECT
    count(*) AS known,
    avg(CASE WHEN first_answer = 'right' THEN 1.0 ELSE 0.0 END) AS right_share
FROM this_run
WHERE scenario = 'error_correction' AND status = 'complete' AND first_answer <> 'unknown'
HAVING count(*) >= $least AND (right_share > $most OR right_share = 0)
