-- description: Original pairs are the questions and answers of their seeds.
SELECT sets.variant, sets.seed_id
FROM sets
LEFT JOIN raw_seeds AS seeds USING (seed_id)
WHERE (sets.variant = 'ori' OR sets.scenario = 'original')
  AND (
      len(sets.conversations) <> 2
      OR sets.conversations[1].value IS DISTINCT FROM seeds.question
      OR sets.conversations[2].value IS DISTINCT FROM seeds.answer
  )
ORDER BY sets.variant, sets.seed_id
