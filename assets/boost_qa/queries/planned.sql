-- How many dialogue plans each partition has, without those whose seed or partner was retracted.
SELECT scenario, shard, count(*) AS planned
FROM dialogue_plans
WHERE seed_id NOT IN (SELECT seed_id FROM retracted)
  AND (partner_seed_id IS NULL OR partner_seed_id NOT IN (SELECT seed_id FROM retracted))
GROUP BY ALL
ORDER BY shard, scenario
