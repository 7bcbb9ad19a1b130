-- description: A similar question is another one of the same source and split, in the scenarios that need one.
-- blocking: true
-- parameters: {paired: $scenarios.paired}
--
-- The split is compared only where the partner has a plan already. A partner must not be a near-duplicate of the seed.
SELECT this_run.shard, this_run.seed_id,
    CASE
        WHEN NOT list_contains($paired, this_run.scenario) THEN 'a partner that the scenario does not need'
        WHEN this_run.partner_seed_id IS NULL THEN 'no partner'
        WHEN partner.seed_id IS NULL THEN 'no such seed'
        WHEN partner.source <> this_run.source THEN 'of another source'
        WHEN partner.representative = this_run.representative THEN 'the seed itself or its duplicate'
        ELSE 'in another split'
    END AS fault
FROM this_run
LEFT JOIN raw_seeds AS partner ON partner.seed_id = this_run.partner_seed_id
LEFT JOIN dialogue_plans AS plan ON plan.seed_id = this_run.partner_seed_id
WHERE list_contains($paired, this_run.scenario) <> (this_run.partner_seed_id IS NOT NULL)
    OR this_run.partner_seed_id IS NOT NULL AND (
        partner.seed_id IS NULL
        OR partner.source <> this_run.source
        OR partner.representative = this_run.representative
        OR plan.split <> this_run.split
    )
ORDER BY this_run.shard, this_run.seed_id
