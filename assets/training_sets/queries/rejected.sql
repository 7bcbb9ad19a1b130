-- The dialogues that the release's rules rejected and that are rejected for the same reasons now, as rows of the release
-- without a conversation; in no order.
SELECT
    removed.dialogue_id AS id,
    removed.scenario,
    removed.source,
    scores.domain,
    removed.split,
    removed.seed_id,
    removed.partner_seed_id,
    seed.licence,
    seed.system
FROM released_removed AS removed
JOIN scored_dialogues AS scores ON scores.dialogue_id = removed.dialogue_id
JOIN raw_seeds AS seed ON seed.seed_id = removed.seed_id
WHERE removed.decision = 'rejected'
  AND NOT scores.accepted
  AND array_to_string(scores.rejection_reasons, ', ') = removed.reason
