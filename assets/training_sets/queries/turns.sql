-- The `chosen` rows, each with its turns and scores as the lake has them now, and with its questions; in no order.
SELECT
    chosen.id AS dialogue_id,
    chosen.* EXCLUDE (id),
    dialogues.turns,
    scores.judge_status,
    scores.judge_findings,
    scores.gave_away_result,
    scores.false_claim,
    scores.rejection_reasons,
    seed.question,
    seed.answer,
    partner.question AS similar_question,
    partner.answer AS similar_answer,
    partner.system AS similar_system
FROM chosen
LEFT JOIN scenario_dialogues AS dialogues ON dialogues.dialogue_id = chosen.id AND dialogues.status = 'complete'
LEFT JOIN scored_dialogues AS scores ON scores.dialogue_id = chosen.id
LEFT JOIN raw_seeds AS seed ON seed.seed_id = chosen.seed_id
LEFT JOIN raw_seeds AS partner ON partner.seed_id = chosen.partner_seed_id
