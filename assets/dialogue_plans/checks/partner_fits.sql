-- Analogies without a fitting partner: of the same source, not the seed or its duplicate, in the same split where the
-- partner is planned already; and other scenarios with one.
SELECT this_run.shard, this_run.seed_id,
    CASE
        WHEN this_run.scenario <> 'analogy' THEN 'a partner without an analogy'
        WHEN this_run.partner_seed_id IS NULL THEN 'no partner'
        WHEN partner.seed_id IS NULL THEN 'no such seed'
        WHEN partner.source <> this_run.source THEN 'of another source'
        WHEN partner.representative = this_run.representative THEN 'the seed itself or its duplicate'
        ELSE 'in another split'
    END AS fault
FROM this_run
LEFT JOIN raw_seeds AS partner ON partner.seed_id = this_run.partner_seed_id
LEFT JOIN dialogue_plans AS plan ON plan.seed_id = this_run.partner_seed_id
WHERE (this_run.scenario = 'analogy') <> (this_run.partner_seed_id IS NOT NULL)
    OR this_run.partner_seed_id IS NOT NULL AND (
        partner.seed_id IS NULL
        OR partner.source <> this_run.source
        OR partner.representative = this_run.representative
        OR plan.split <> this_run.split
    )
ORDER BY this_run.shard, this_run.seed_id
