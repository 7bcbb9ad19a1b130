-- Accepted dialogues with their seeds, in no order.
SELECT
    scores.dialogue_id,
    dialogues.status,
    scores.scenario,
    scores.source,
    scores.domain,
    scores.split,
    scores.seed_id,
    dialogues.partner_seed_id,
    dialogues.turns,
    scores.quality_score,
    seed.question,
    seed.answer,
    seed.system,
    seed.licence,
    partner.question AS partner_question,
    partner.answer AS partner_answer
FROM taken_scores AS scores
LEFT JOIN taken_dialogues AS dialogues USING (dialogue_id)
LEFT JOIN raw_seeds AS seed ON seed.seed_id = scores.seed_id
LEFT JOIN raw_seeds AS partner ON partner.seed_id = dialogues.partner_seed_id
WHERE scores.dialogue_id NOT IN (SELECT dialogue_id FROM removed)
