-- description: No scenario has much less than its part of the complete dialogues (from 100 dialogues on).
-- severity: warn
-- parameters: {smallest: 0.6, least: 100, scenarios: $scenarios.names}
--
-- Only shards with all scenarios count. The mix decides whether training helps at all (METHOD: ablation).
WITH whole AS (SELECT shard FROM scenario_dialogues GROUP BY shard HAVING count(DISTINCT scenario) >= len($scenarios)),
counted AS (
    SELECT scenario, count(*) FILTER (WHERE status = 'complete') AS complete
    FROM scenario_dialogues JOIN whole USING (shard)
    GROUP BY scenario
)
SELECT scenario, complete, complete / sum(complete) OVER () AS share
FROM counted
QUALIFY sum(complete) OVER () >= $least AND share < $smallest / len($scenarios)
