-- Scenarios of which more than $limit of at least $least dialogues of this run were set aside. A seed that was taken
-- down is no failure.
SELECT
    scenario,
    avg(CASE WHEN status = 'set_aside' THEN 1.0 ELSE 0.0 END) AS share,
    count(*) AS dialogues
FROM this_run
WHERE coalesce(status_reason, '') NOT LIKE 'retracted:%'
GROUP BY scenario
HAVING count(*) >= $least AND share > $limit
