-- description: No dialogue is in the table twice.
-- blocking: true
WITH several AS (
    SELECT dialogue_id, count(*) AS rows FROM scenario_dialogues GROUP BY dialogue_id HAVING count(*) > 1
)
FROM several SEMI JOIN this_run USING (dialogue_id)
