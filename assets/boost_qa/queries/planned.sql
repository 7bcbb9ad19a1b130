-- How many seeds each lesson is to teach; one whose seed or partner was retracted is not planned any more.
SELECT scenario, shard, count(*) AS planned
FROM lesson_plans
WHERE seed_id NOT IN (SELECT seed_id FROM retracted)
  AND (partner_seed_id IS NULL OR partner_seed_id NOT IN (SELECT seed_id FROM retracted))
GROUP BY ALL
ORDER BY shard, scenario
