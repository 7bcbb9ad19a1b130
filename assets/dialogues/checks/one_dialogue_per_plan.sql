-- description: Every plan of a written partition has one dialogue, complete or set aside, and every dialogue a plan.
-- blocking: true
WITH written AS (SELECT DISTINCT scenario, shard FROM this_run),
planned AS (SELECT plan.* FROM dialogue_plans AS plan JOIN written USING (scenario, shard)),
found AS (SELECT seed_id, scenario, shard, count(*) AS dialogues FROM this_run GROUP BY ALL)
SELECT
    coalesce(planned.seed_id, found.seed_id) AS seed_id,
    coalesce(planned.scenario, found.scenario) || '|' || coalesce(planned.shard, found.shard) AS partition,
    CASE
        WHEN found.seed_id IS NULL THEN 'planned, no dialogue'
        WHEN planned.seed_id IS NULL THEN 'dialogue, not planned'
        ELSE found.dialogues || ' dialogues'
    END AS fault
FROM planned FULL JOIN found USING (seed_id, scenario, shard)
WHERE found.seed_id IS NULL OR planned.seed_id IS NULL OR found.dialogues <> 1
