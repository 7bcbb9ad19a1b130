-- A row with a short question, to be shown.
FROM released
ORDER BY list_sum(list_transform(prompt, lambda message: len(message.content))), id
LIMIT 1
