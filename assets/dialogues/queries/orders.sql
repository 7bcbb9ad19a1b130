-- Every order of turns that complete dialogues of this run have, with the number of such dialogues and one of them.
-- The turns are reduced before the join with the plans, so that it needs little memory.
WITH spoken AS (
    SELECT
        dialogue_id,
        scenario,
        seed_id,
        shard,
        [turn.speaker FOR turn IN turns] AS speakers,
        [turn.role FOR turn IN turns] AS roles,
        [turn.side FOR turn IN turns] AS sides,
        len([turn FOR turn IN turns IF trim(turn.text) = '']) > 0 AS silent
    FROM this_run
    WHERE status = 'complete'
)
SELECT
    spoken.scenario,
    plan.repetitions,
    speakers,
    roles,
    sides,
    silent,
    count(*) AS dialogues,
    min(dialogue_id) AS dialogue_id
FROM spoken
LEFT JOIN dialogue_plans AS plan ON plan.seed_id = spoken.seed_id AND plan.shard = spoken.shard
GROUP BY spoken.scenario, plan.repetitions, speakers, roles, sides, silent
