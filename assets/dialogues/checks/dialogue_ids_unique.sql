-- A dialogue_id that stands in this run's partitions and more than once in the table.
SELECT dialogue_id, count(*) AS rows
FROM scenario_dialogues
WHERE dialogue_id IN (SELECT dialogue_id FROM this_run)
GROUP BY dialogue_id
HAVING count(*) > 1
