-- Benchmarks in which too large a share of the answers could not be read.
SELECT base || '|' || variant AS partition, benchmark || ', ' || stage AS asked,
       round(avg((verdict = 'unreadable')::INT), 3) AS unreadable
FROM this_run
GROUP BY base, variant, benchmark, stage
HAVING avg((verdict = 'unreadable')::INT) > $limit
ORDER BY ALL
