-- description: In complete dialogues the speakers are those of the scenario, in its order, and the sides alternate.
-- blocking: true
--
-- METHOD: the scenarios. The turns are reduced before the join with the plans, so that it needs little memory.
WITH spoken AS (
    SELECT
        dialogue_id,
        scenario,
        seed_id,
        shard,
        array_to_string([turn.speaker FOR turn IN turns], ', ') AS speakers,
        array_to_string([turn.side FOR turn IN turns], ', ') AS sides,
        len([turn FOR turn IN turns IF trim(turn.text) = '']) AS silent
    FROM this_run
    WHERE status = 'complete'
)
SELECT spoken.dialogue_id, spoken.speakers, spoken.sides
FROM spoken
LEFT JOIN dialogue_plans AS plan ON plan.seed_id = spoken.seed_id AND plan.shard = spoken.shard
WHERE spoken.silent > 0
    OR NOT regexp_full_match(spoken.sides, 'human, gpt(, human, gpt)*')
    OR spoken.speakers <> CASE
        WHEN spoken.scenario = 'debate'
        THEN 'teacher' || repeat(', student A, student B', coalesce(plan.debate_rounds, 1)) || ', student C'
        ELSE 'teacher, student, teacher, student'
    END
