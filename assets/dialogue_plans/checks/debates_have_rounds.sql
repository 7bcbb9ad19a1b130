-- description: Debates have one or two rounds, other scenarios none.
SELECT shard, seed_id, scenario, debate_rounds
FROM this_run
WHERE (scenario = 'debate') <> (debate_rounds IS NOT NULL)
ORDER BY shard, seed_id
