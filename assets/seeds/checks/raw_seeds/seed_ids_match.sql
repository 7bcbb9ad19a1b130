-- description: Each seed_id is the hash of source, question and answer.
-- blocking: true
--
-- The same canonical JSON as resources.identity.stable_hash.
SELECT seed_id, shard
FROM this_run
WHERE seed_id <> left(sha256(to_json([source, question, answer])::VARCHAR), 32)
   OR NOT starts_with(shard, source || '-')
ORDER BY shard, seed_id
