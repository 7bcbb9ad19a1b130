-- description: No seed is in two shards.
-- blocking: true
--
-- Over the whole table: a shard of an earlier run may hold a seed of this run.
WITH several AS (
    SELECT seed_id FROM raw_seeds WHERE source IN (SELECT source FROM this_run) GROUP BY seed_id HAVING count(*) > 1
)
SELECT seed_id, count(*) AS seeds, string_agg(shard, ' ' ORDER BY shard) AS shards
FROM raw_seeds
SEMI JOIN several USING (seed_id)
WHERE source IN (SELECT source FROM this_run)
GROUP BY seed_id
ORDER BY seed_id
