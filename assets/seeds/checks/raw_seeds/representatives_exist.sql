-- description: The representative of each group of near-duplicates is a seed of the same source.
SELECT seed.seed_id, seed.shard, seed.representative
FROM this_run AS seed
LEFT JOIN raw_seeds AS status
    ON status.seed_id = seed.representative
   AND status.source = seed.source
   AND status.representative = status.seed_id
WHERE status.seed_id IS NULL
ORDER BY seed.shard, seed.seed_id
