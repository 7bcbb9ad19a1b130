SELECT seed.seed_id, seed.shard, seed.representative
FROM this_run AS seed
LEFT JOIN raw_seeds AS standing
    ON standing.seed_id = seed.representative
   AND standing.source = seed.source
   AND standing.representative = standing.seed_id
WHERE standing.seed_id IS NULL
ORDER BY seed.shard, seed.seed_id
