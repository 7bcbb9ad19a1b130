-- description: Pairs, good answers and critiques are of dialogues of the release in the same split, and bad answers of
--   dialogues that were rejected.
WITH known AS (
    SELECT id AS dialogue_id, seed_id, split, true AS is_released FROM released
    UNION ALL
    SELECT dialogue_id, seed_id, split, false FROM released_removed WHERE decision = 'rejected'
)
SELECT rows.variant, rows.id, rows.seed_id
FROM dialogue_rows AS rows
WHERE NOT EXISTS (
    SELECT *
    FROM known
    WHERE known.seed_id = rows.seed_id
      AND known.split = rows.split
      AND known.dialogue_id = coalesce(rows.dialogue_id, known.dialogue_id)
      AND known.is_released = coalesce(rows.label, true)
)
ORDER BY rows.variant, rows.id
