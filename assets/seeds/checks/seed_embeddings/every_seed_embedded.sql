-- description: Each seed of the run's sources has a vector.
-- blocking: true
SELECT seeds.seed_id, seeds.shard
FROM raw_seeds AS seeds
ANTI JOIN seed_embeddings AS vectors USING (seed_id)
WHERE seeds.source IN (SELECT source FROM this_run)
ORDER BY seeds.shard, seeds.seed_id
