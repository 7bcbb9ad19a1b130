-- description: Of no benchmark is a larger share of the answers unreadable than the benchmarks' `warn_unreadable`.
-- severity: warn
-- parameters: {limit: $benchmarks.warn_unreadable}
SELECT base || '|' || variant AS partition, benchmark || ', ' || stage AS asked,
       round(avg((verdict = 'unreadable')::INT), 3) AS unreadable
FROM this_run
GROUP BY base, variant, benchmark, stage
HAVING avg((verdict = 'unreadable')::INT) > $limit
ORDER BY ALL
