-- description: No question or answer is blank or has control characters.
SELECT seed_id, shard, left(question, 40) AS question
FROM this_run
WHERE trim(question) = ''
   OR trim(answer) = ''
   OR regexp_matches(question || answer || coalesce(system, ''), '[\x00-\x08\x0B-\x1F\x7F]')
ORDER BY shard, seed_id
