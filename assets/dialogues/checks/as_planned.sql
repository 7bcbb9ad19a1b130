-- description: Split, source, domain and partner are those of the plan.
-- blocking: true
SELECT dialogue.dialogue_id, dialogue.scenario || '|' || dialogue.shard AS partition
FROM this_run AS dialogue
JOIN dialogue_plans AS plan ON plan.seed_id = dialogue.seed_id AND plan.shard = dialogue.shard
WHERE dialogue.split <> plan.split
    OR dialogue.source <> plan.source
    OR dialogue.domain <> plan.domain
    OR dialogue.partner_seed_id IS DISTINCT FROM plan.partner_seed_id
