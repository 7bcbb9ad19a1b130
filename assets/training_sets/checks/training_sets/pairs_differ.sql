-- description: No chosen answer is the rejected one.
SELECT id, dialogue_id, chosen[:80] AS answer
FROM dialogue_rows
WHERE variant = 'dpo' AND regexp_replace(trim(chosen), '\s+', ' ', 'g') = regexp_replace(trim(rejected), '\s+', ' ', 'g')
ORDER BY id
