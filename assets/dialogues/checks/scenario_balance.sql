-- Over the shards that hold all three scenarios: scenarios whose share of the complete dialogues is below $smallest.
-- The mix decides whether training helps at all (METHOD: ablation).
WITH whole AS (SELECT shard FROM scenario_dialogues GROUP BY shard HAVING count(DISTINCT scenario) = 3),
counted AS (
    SELECT scenario, count(*) FILTER (WHERE status = 'complete') AS complete
    FROM scenario_dialogues JOIN whole USING (shard)
    GROUP BY scenario
)
SELECT scenario, complete, complete / sum(complete) OVER () AS share
FROM counted
QUALIFY sum(complete) OVER () >= $least AND share < $smallest
