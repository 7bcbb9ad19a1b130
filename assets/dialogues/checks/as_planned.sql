-- Dialogues that differ from their plan in split, source, domain or partner.
SELECT held.dialogue_id, held.scenario || '|' || held.shard AS partition
FROM this_run AS held
JOIN dialogue_plans AS plan ON plan.seed_id = held.seed_id AND plan.shard = held.shard
WHERE held.split <> plan.split
    OR held.source <> plan.source
    OR held.domain <> plan.domain
    OR held.partner_seed_id IS DISTINCT FROM plan.partner_seed_id
