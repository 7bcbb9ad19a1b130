-- description: No shard has more seeds than the shard size of its reading.
--
-- A killed reading leaves shards without a row in seed_readings: then the size of the next reading applies.
SELECT seeds.shard, count(*) AS seeds, any_value(readings.shard_size) AS most
FROM this_run AS seeds
ASOF JOIN seed_readings AS readings ON seeds.source = readings.source AND seeds.reading <= readings.reading
GROUP BY seeds.shard
HAVING count(*) > any_value(readings.shard_size)
ORDER BY seeds.shard
