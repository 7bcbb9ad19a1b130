-- Complete dialogues in which others speak, or in another order, than their scenario says (METHOD: the scenarios).
WITH spoken AS (
    SELECT
        held.dialogue_id,
        held.scenario,
        array_to_string([turn.speaker FOR turn IN held.turns], ', ') AS speakers,
        array_to_string([turn.side FOR turn IN held.turns], ', ') AS sides,
        len([turn FOR turn IN held.turns IF trim(turn.text) = '']) AS silent,
        CASE
            WHEN held.scenario = 'debate'
            THEN 'teacher' || repeat(', student A, student B', coalesce(plan.debate_rounds, 1)) || ', student C'
            ELSE 'teacher, student, teacher, student'
        END AS expected
    FROM this_run AS held
    LEFT JOIN lesson_plans AS plan ON plan.seed_id = held.seed_id AND plan.shard = held.shard
    WHERE held.status = 'complete'
)
SELECT dialogue_id, speakers, sides
FROM spoken
WHERE speakers <> expected
    OR silent > 0
    OR NOT regexp_full_match(sides, 'human, gpt(, human, gpt)*')
