-- description: No similar question is the first question of another dialogue. Plans of earlier versions may fail.
-- severity: warn
SELECT this_run.shard, this_run.seed_id, this_run.partner_seed_id
FROM this_run
JOIN dialogue_plans AS plan ON plan.seed_id = this_run.partner_seed_id AND plan.partner_seed_id IS NOT NULL
ORDER BY this_run.shard, this_run.seed_id
