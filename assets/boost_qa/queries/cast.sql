-- Who said what is released: role, model, sampling and prompt, as the dialogues themselves record it.
SELECT turn.role, turn.model, turn.temperature, turn.prompt_version AS prompt, count(*) AS turns
FROM (
    SELECT unnest(turns) AS turn
    FROM taken_dialogues
    WHERE dialogue_id IN (SELECT id FROM released)
)
WHERE turn.role IS NOT NULL
GROUP BY ALL
ORDER BY ALL
