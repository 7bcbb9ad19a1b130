-- description: No scenario is nearly absent. In the paper's ablation one or two scenarios do worse than the seeds
--   alone.
-- severity: warn
-- parameters: {minimum_share: $release_rules.minimum_scenario_share, scenarios: $scenarios.names}
SELECT scenario, coalesce(rows, 0) AS rows, round(coalesce(rows, 0) / greatest(total, 1), 3) AS share
FROM (SELECT unnest($scenarios) AS scenario) AS expected
LEFT JOIN (SELECT scenario, count(*) AS rows FROM released GROUP BY scenario) USING (scenario)
CROSS JOIN (SELECT count(*) AS total FROM released)
WHERE coalesce(rows, 0) < $minimum_share * total
ORDER BY scenario
