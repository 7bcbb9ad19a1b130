-- description: Each vector has length one.
-- parameters: {tolerance: 1.0e-3}
--
-- A vector with a NaN has no length that is near one either.
SELECT seed_id, shard, sqrt(list_inner_product(vector, vector)) AS length
FROM this_run
WHERE NOT coalesce(abs(sqrt(list_inner_product(vector, vector)) - 1) <= $tolerance, false)
ORDER BY shard, seed_id
