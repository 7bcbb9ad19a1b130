-- Benchmarks in which too large a share of the answers failed: their scores say little of the model.
SELECT base || '|' || variant AS partition, benchmark || ', ' || stage AS asked,
       round(avg((verdict = 'failed')::INT), 3) AS failed
FROM this_run
GROUP BY base, variant, benchmark, stage
HAVING avg((verdict = 'failed')::INT) > $limit
ORDER BY ALL
