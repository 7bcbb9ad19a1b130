-- description: Of no benchmark did a larger share of the answers fail than the benchmarks' `maximum_failed`.
-- parameters: {limit: $benchmarks.maximum_failed}
SELECT base || '|' || variant AS partition, benchmark || ', ' || stage AS asked,
       round(avg((verdict = 'failed')::INT), 3) AS failed
FROM this_run
GROUP BY base, variant, benchmark, stage
HAVING avg((verdict = 'failed')::INT) > $limit
ORDER BY ALL
