-- description: Seed, source, domain, split and status are those of the dialogue.
-- blocking: true
SELECT this_run.scenario, this_run.shard, this_run.dialogue_id
FROM this_run
JOIN scenario_dialogues AS dialogue USING (dialogue_id)
WHERE (this_run.seed_id, this_run.source, this_run.domain, this_run.split, this_run.status)
    <> (dialogue.seed_id, dialogue.source, dialogue.domain, dialogue.split, dialogue.status)
ORDER BY this_run.dialogue_id
