-- description: The judge rejects planted faults more often than untouched dialogues. Passes where no judge gave a verdict.
-- severity: warn
SELECT
    judge,
    avg(rejected::INT) FILTER (kind <> 'none') AS caught,
    avg(rejected::INT) FILTER (kind = 'none') AS false_alarms
FROM this_run
GROUP BY judge
HAVING caught <= false_alarms
