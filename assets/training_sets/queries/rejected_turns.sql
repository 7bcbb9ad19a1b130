-- What `released_turns.sql` has, of the dialogues that the release's rules rejected and that are rejected for the same
-- reasons now; in no order.
SELECT
    removed.dialogue_id,
    removed.scenario,
    removed.source,
    scores.domain,
    removed.split,
    removed.seed_id,
    removed.partner_seed_id,
    seed.licence,
    seed.system,
    dialogues.turns,
    scores.judge_status,
    scores.judge_findings,
    scores.gave_away_result,
    scores.false_claim,
    scores.rejection_reasons,
    seed.question,
    seed.answer,
    partner.question AS similar_question,
    partner.answer AS similar_answer,
    partner.system AS similar_system
FROM released_removed AS removed
JOIN scenario_dialogues AS dialogues ON dialogues.dialogue_id = removed.dialogue_id AND dialogues.status = 'complete'
JOIN scored_dialogues AS scores ON scores.dialogue_id = removed.dialogue_id
JOIN raw_seeds AS seed ON seed.seed_id = removed.seed_id
LEFT JOIN raw_seeds AS partner ON partner.seed_id = removed.partner_seed_id
WHERE removed.decision = 'rejected'
  AND NOT scores.accepted
  AND array_to_string(scores.rejection_reasons, ', ') = removed.reason
