-- description: Every conversation begins with human, strictly alternates, ends with gpt and has no empty turn, so that
--   LLaMA-Factory skips none.
SELECT id, scenario, len(conversations) AS turns
FROM released
WHERE len(conversations) = 0
   OR len(conversations) % 2 = 1
   OR len(trains) <> len(conversations)
   OR len(list_filter(
          conversations,
          lambda turn, place: turn."from" <> CASE place % 2 WHEN 1 THEN 'human' ELSE 'gpt' END OR trim(turn.value) = ''
      )) > 0
ORDER BY id
