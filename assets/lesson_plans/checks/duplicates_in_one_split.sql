-- Groups of duplicates whose seeds are planned in more than one split.
SELECT representative, string_agg(DISTINCT split, ', ' ORDER BY split) AS splits, count(*) AS plans
FROM lesson_plans
WHERE representative IN (SELECT representative FROM this_run)
GROUP BY representative
HAVING count(DISTINCT split) > 1
ORDER BY representative
