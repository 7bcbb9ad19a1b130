-- description: A seed and its near-duplicates are in one split.
-- blocking: true
WITH spread AS (
    SELECT representative FROM dialogue_plans GROUP BY representative HAVING min(split) <> max(split)
)
SELECT representative, string_agg(DISTINCT split, ', ' ORDER BY split) AS splits, count(*) AS plans
FROM dialogue_plans
SEMI JOIN spread USING (representative)
WHERE representative IN (SELECT representative FROM this_run)
GROUP BY representative
ORDER BY representative
