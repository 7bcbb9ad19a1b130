-- description: Every dialogue of a scored partition has one row of scores, and every row of scores a dialogue.
-- blocking: true
WITH scored AS (
    SELECT scenario, shard, dialogue_id, count(*) AS scores FROM this_run GROUP BY ALL
),
dialogues AS (
    SELECT scenario, shard, dialogue_id
    FROM scenario_dialogues
    WHERE (scenario, shard) IN (SELECT DISTINCT (scenario, shard) FROM this_run)
)
SELECT
    coalesce(scored.scenario, dialogues.scenario) AS scenario,
    coalesce(scored.dialogue_id, dialogues.dialogue_id) AS dialogue_id,
    CASE
        WHEN scored.dialogue_id IS NULL THEN 'no score'
        WHEN dialogues.dialogue_id IS NULL THEN 'no such dialogue'
        ELSE 'several scores'
    END AS fault
FROM scored
FULL JOIN dialogues USING (scenario, shard, dialogue_id)
WHERE scored.dialogue_id IS NULL OR dialogues.dialogue_id IS NULL OR scored.scores > 1
ORDER BY dialogue_id
