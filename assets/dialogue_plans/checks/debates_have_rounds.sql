-- Debates without a number of rounds, and other scenarios with one.
SELECT shard, seed_id, scenario, debate_rounds
FROM this_run
WHERE (scenario = 'debate') <> (debate_rounds IS NOT NULL)
ORDER BY shard, seed_id
