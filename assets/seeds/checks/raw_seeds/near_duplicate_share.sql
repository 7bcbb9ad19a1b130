-- description: Few seeds of a source are near-duplicates of others.
-- severity: warn
-- parameters: {limit: 0.2}
SELECT source, count(*) FILTER (seed_id <> representative) AS near_duplicates, count(*) AS seeds
FROM this_run
GROUP BY source
HAVING count(*) FILTER (seed_id <> representative) > $limit * count(*)
ORDER BY source
