-- How many seeds each partition is to teach; one whose seed or partner was retracted is not planned any more.
SELECT scenario, shard, count(*) AS planned
FROM dialogue_plans
WHERE seed_id NOT IN (SELECT seed_id FROM retracted)
  AND (partner_seed_id IS NULL OR partner_seed_id NOT IN (SELECT seed_id FROM retracted))
GROUP BY ALL
ORDER BY shard, scenario
