-- The questions of the release's dialogues and of the rejected ones, those of the rejected ones first.
WITH dialogues AS (
    SELECT true AS rejected, dialogue_id, split, seed_id, partner_seed_id
    FROM released_removed
    WHERE decision = 'rejected'
    UNION ALL
    SELECT false, id, split, seed_id, partner_seed_id
    FROM released
)
SELECT dialogues.rejected, dialogues.dialogue_id, dialogues.split, seeds.question
FROM dialogues
JOIN raw_seeds AS seeds ON seeds.seed_id IN (dialogues.seed_id, dialogues.partner_seed_id)
ORDER BY dialogues.rejected DESC, list_position(['train', 'validation', 'test'], dialogues.split), dialogues.dialogue_id
