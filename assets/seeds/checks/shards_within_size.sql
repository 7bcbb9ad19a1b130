SELECT seeds.shard, count(*) AS seeds, any_value(readings.shard_size) AS most
FROM this_run AS seeds
JOIN seed_readings AS readings USING (source, reading)
GROUP BY seeds.shard
HAVING count(*) > any_value(readings.shard_size)
ORDER BY seeds.shard
