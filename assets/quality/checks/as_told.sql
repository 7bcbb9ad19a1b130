-- Scores whose seed, source, domain, split or status is not the dialogue's.
SELECT this_run.scenario, this_run.shard, this_run.dialogue_id
FROM this_run
JOIN scenario_dialogues AS told USING (dialogue_id)
WHERE (this_run.seed_id, this_run.source, this_run.domain, this_run.split, this_run.status)
    <> (told.seed_id, told.source, told.domain, told.split, told.status)
ORDER BY this_run.dialogue_id
