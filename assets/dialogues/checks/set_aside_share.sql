-- description: In no scenario were more than a third of this run's dialogues set aside (from 20 dialogues on).
-- severity: warn
-- parameters: {least: 20}
--
-- Dialogues of retracted seeds do not count.
SELECT
    scenario,
    avg(CASE WHEN status = 'set_aside' THEN 1.0 ELSE 0.0 END) AS share,
    count(*) AS dialogues
FROM this_run
WHERE coalesce(status_reason, '') NOT LIKE 'retracted:%'
GROUP BY scenario
HAVING count(*) >= $least AND share > 1 / 3
