-- Values of a column whose share of all plans is further from the rules' than chance explains (four standard
-- deviations) and than a twentieth; and those that are expected and have no plan at all.
WITH counted AS (
    SELECT CASE $column WHEN 'scenario' THEN scenario ELSE split END AS value, count(*) AS plans
    FROM dialogue_plans
    GROUP BY ALL
),
total AS (
    SELECT count(*) AS plans FROM dialogue_plans
)
SELECT expected.value AS value, coalesce(counted.plans, 0) AS plans, coalesce(counted.plans, 0) / total.plans AS share,
    expected.share AS expected
FROM (SELECT unnest($values) AS value, unnest($shares) AS share) AS expected
LEFT JOIN counted USING (value)
CROSS JOIN total
WHERE total.plans > 0 AND (
    expected.share > 0 AND counted.plans IS NULL
    OR abs(coalesce(counted.plans, 0) / total.plans - expected.share)
        > greatest(0.05, 4 * sqrt(expected.share * (1 - expected.share) / total.plans))
)
ORDER BY expected.value
