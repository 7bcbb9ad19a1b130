-- description: Pairs, labelled answers and critiques of one question are in one split.
SELECT variant, question[:80] AS question, list(DISTINCT split ORDER BY split) AS splits
FROM dialogue_rows
GROUP BY variant, lower(trim(question)), question[:80]
HAVING count(DISTINCT split) > 1
ORDER BY variant, question
