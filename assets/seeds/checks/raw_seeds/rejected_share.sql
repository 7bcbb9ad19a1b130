-- description: Few rows of the last reading were rejected.
-- severity: warn
-- parameters: {limit: 0.01}
SELECT source, rejected, round(rejected / rows, 4) AS share
FROM seed_readings
WHERE source IN (SELECT source FROM this_run)
QUALIFY row_number() OVER (PARTITION BY source ORDER BY reading DESC) = 1
    AND rejected > $limit * rows
ORDER BY source
