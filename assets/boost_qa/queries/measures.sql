-- What the card's histograms show of each row.
SELECT
    scenario,
    quality_score AS scores,
    list_sum(list_transform(conversations, lambda turn: len(string_split_regex(trim(turn.value), '\s+')))) AS words
FROM released
