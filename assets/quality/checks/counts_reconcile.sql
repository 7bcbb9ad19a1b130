-- description: Every scored partition has as many rows as dialogues, also a partition without any.
-- blocking: true
SELECT scored.partition, coalesce(dialogues.rows, 0) AS dialogues, scored.rows AS scores
FROM this_run_partitions AS scored
LEFT JOIN scenario_dialogues_partitions AS dialogues USING (partition)
WHERE coalesce(dialogues.rows, 0) <> scored.rows
ORDER BY scored.partition
