-- What each dialogue asks that may become a row; validation and test first.
SELECT scores.dialogue_id, scores.split, seed.question, partner.question AS partner_question
FROM taken_scores AS scores
LEFT JOIN taken_dialogues AS dialogues USING (dialogue_id)
JOIN raw_seeds AS seed ON seed.seed_id = scores.seed_id
LEFT JOIN raw_seeds AS partner ON partner.seed_id = dialogues.partner_seed_id
WHERE scores.dialogue_id NOT IN (SELECT dialogue_id FROM removed)
ORDER BY scores.split = 'train', scores.split, scores.dialogue_id
