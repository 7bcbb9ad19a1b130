-- description: In multiple choice, references and extracted answers are options of their question.
SELECT base || '|' || variant AS partition, benchmark, item_id
FROM this_run
WHERE kind = 'multiple_choice'
  AND (NOT list_contains(labels, reference)
       OR (verdict IN ('right', 'wrong') AND NOT list_contains(labels, extracted))
       OR (verdict = 'right' AND extracted <> reference))
ORDER BY ALL
