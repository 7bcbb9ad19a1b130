-- Rows of the original set whose sides are not their seed's question and answer.
SELECT ori.seed_id
FROM ori
LEFT JOIN raw_seeds AS seeds USING (seed_id)
WHERE len(ori.conversations) <> 2
   OR ori.conversations[1].value IS DISTINCT FROM seeds.question
   OR ori.conversations[2].value IS DISTINCT FROM seeds.answer
ORDER BY ori.seed_id
