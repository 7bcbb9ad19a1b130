-- description: No shard has more seeds than the shard size of its reading.
--
-- A reading that was killed left shards but no line: the next one that ended says what size was allowed.
SELECT seeds.shard, count(*) AS seeds, any_value(readings.shard_size) AS most
FROM this_run AS seeds
ASOF JOIN seed_readings AS readings ON seeds.source = readings.source AND seeds.reading <= readings.reading
GROUP BY seeds.shard
HAVING count(*) > any_value(readings.shard_size)
ORDER BY seeds.shard
