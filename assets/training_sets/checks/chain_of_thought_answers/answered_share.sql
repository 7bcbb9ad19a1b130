-- description: Most seeds of a release have an answer that can be used.
-- severity: warn
-- parameters: {limit: 0.5}
SELECT release, count(answer) AS answered, count(*) AS seeds
FROM this_run
GROUP BY release
HAVING count(answer) < $limit * count(*)
ORDER BY release
