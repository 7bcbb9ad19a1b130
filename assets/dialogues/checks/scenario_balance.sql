-- description: No scenario has much less than its part of the complete dialogues (from 100 dialogues on).
-- severity: warn
-- parameters: {smallest: 0.6, least: 100}
--
-- A scenario's part is that of its plans. Only shards whose scenarios are all written count. The mix decides whether
-- training helps at all (METHOD: ablation).
WITH written AS (
    SELECT scenario, shard, count(*) FILTER (WHERE status = 'complete') AS complete
    FROM scenario_dialogues
    GROUP BY scenario, shard
),
planned AS (
    SELECT scenario, shard, count(*) AS plans, complete
    FROM dialogue_plans LEFT JOIN written USING (scenario, shard)
    GROUP BY scenario, shard, complete
    QUALIFY bool_and(complete IS NOT NULL) OVER (PARTITION BY shard)
)
SELECT
    scenario,
    sum(complete) AS complete,
    sum(complete) / sum(sum(complete)) OVER () AS share,
    sum(plans) / sum(sum(plans)) OVER () AS planned_share
FROM planned
GROUP BY scenario
QUALIFY sum(sum(complete)) OVER () >= $least AND share < $smallest * planned_share
