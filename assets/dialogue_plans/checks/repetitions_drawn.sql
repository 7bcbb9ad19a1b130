-- description: Plans have a number of repetitions where their scenario draws one, others none.
-- parameters: {drawing: $scenarios.drawing}
SELECT shard, seed_id, scenario, repetitions
FROM this_run
WHERE list_contains($drawing, scenario) <> (repetitions IS NOT NULL)
ORDER BY shard, seed_id
