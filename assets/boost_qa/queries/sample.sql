-- A good short row, to be shown.
FROM released
ORDER BY
    quality_score DESC NULLS LAST,
    list_sum(list_transform(conversations, lambda turn: len(turn.value))),
    id
LIMIT 1
