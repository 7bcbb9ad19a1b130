-- Dialogues of the scored partitions without a score, scores without a dialogue, and dialogues scored more than once.
WITH scored AS (
    SELECT scenario, shard, dialogue_id, count(*) AS scores FROM this_run GROUP BY ALL
),
told AS (
    SELECT scenario, shard, dialogue_id
    FROM scenario_dialogues
    WHERE (scenario, shard) IN (SELECT DISTINCT (scenario, shard) FROM this_run)
)
SELECT
    coalesce(scored.scenario, told.scenario) AS scenario,
    coalesce(scored.dialogue_id, told.dialogue_id) AS dialogue_id,
    CASE
        WHEN scored.dialogue_id IS NULL THEN 'no score'
        WHEN told.dialogue_id IS NULL THEN 'no such dialogue'
        ELSE 'several scores'
    END AS fault
FROM scored
FULL JOIN told USING (scenario, shard, dialogue_id)
WHERE scored.dialogue_id IS NULL OR told.dialogue_id IS NULL OR scored.scores > 1
ORDER BY dialogue_id
