-- Plans of a written partition (scenario and shard) without exactly one dialogue, and dialogues without their plan.
WITH written AS (SELECT DISTINCT scenario, shard FROM this_run),
planned AS (SELECT plan.* FROM dialogue_plans AS plan JOIN written USING (scenario, shard)),
held AS (SELECT seed_id, scenario, shard, count(*) AS dialogues FROM this_run GROUP BY ALL)
SELECT
    coalesce(planned.seed_id, held.seed_id) AS seed_id,
    coalesce(planned.scenario, held.scenario) || '|' || coalesce(planned.shard, held.shard) AS partition,
    CASE
        WHEN held.seed_id IS NULL THEN 'planned, no dialogue'
        WHEN planned.seed_id IS NULL THEN 'dialogue, not planned'
        ELSE held.dialogues || ' dialogues'
    END AS fault
FROM planned FULL JOIN held USING (seed_id, scenario, shard)
WHERE held.seed_id IS NULL OR planned.seed_id IS NULL OR held.dialogues <> 1
