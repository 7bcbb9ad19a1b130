-- description: A final answer could be read for most seeds of the domain math.
-- severity: warn
-- parameters: {limit: 0.3}
SELECT source, count(*) FILTER (reference_final IS NULL) AS without, count(*) AS seeds
FROM this_run
WHERE domain = 'math'
GROUP BY source
HAVING count(*) FILTER (reference_final IS NULL) > $limit * count(*)
ORDER BY source
