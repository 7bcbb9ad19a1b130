-- description: Every seed of a planned shard has one plan, and every plan a seed.
-- blocking: true
WITH planned AS (
    SELECT seed_id, shard, count(*) AS plans FROM this_run GROUP BY seed_id, shard
),
seeds AS (
    SELECT seed_id, shard FROM raw_seeds WHERE shard IN (SELECT shard FROM this_run)
)
SELECT
    coalesce(planned.shard, seeds.shard) AS shard,
    coalesce(planned.seed_id, seeds.seed_id) AS seed_id,
    CASE
        WHEN planned.seed_id IS NULL THEN 'no plan'
        WHEN seeds.seed_id IS NULL THEN 'no such seed'
        ELSE 'several plans'
    END AS fault
FROM planned
FULL JOIN seeds ON planned.seed_id = seeds.seed_id AND planned.shard = seeds.shard
WHERE planned.seed_id IS NULL OR seeds.seed_id IS NULL OR planned.plans > 1
ORDER BY shard, seed_id
