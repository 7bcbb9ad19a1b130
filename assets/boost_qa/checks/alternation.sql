-- Conversations that LLaMA-Factory would skip: not human first, not strictly alternating, odd, or with an empty turn.
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
