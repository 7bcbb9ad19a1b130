-- description: Every written partition has as many dialogues as plans, also a partition without any.
-- blocking: true
SELECT written.partition, count(plan.seed_id) AS planned, any_value(written.rows) AS dialogues
FROM this_run_partitions AS written
LEFT JOIN dialogue_plans AS plan USING (scenario, shard)
GROUP BY written.partition
HAVING planned <> dialogues
ORDER BY written.partition
