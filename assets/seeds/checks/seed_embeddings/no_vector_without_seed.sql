-- description: Each vector belongs to a seed of its shard.
SELECT vectors.seed_id, vectors.shard
FROM this_run AS vectors
ANTI JOIN raw_seeds AS seeds USING (seed_id, source, shard)
ORDER BY vectors.shard, vectors.seed_id
