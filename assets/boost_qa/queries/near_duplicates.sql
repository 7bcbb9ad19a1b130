-- The dialogues of `near_duplicates` (dialogue_id, detail) join the removed ones.
INSERT INTO removed
SELECT
    scores.dialogue_id,
    scores.seed_id,
    dialogues.partner_seed_id,
    scores.scenario,
    scores.source,
    scores.split,
    'near_duplicate',
    'near_duplicate',
    near_duplicates.detail,
    scores.accepted
FROM near_duplicates
JOIN taken_scores AS scores USING (dialogue_id)
LEFT JOIN taken_dialogues AS dialogues USING (dialogue_id)
