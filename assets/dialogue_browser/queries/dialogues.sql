-- All that is known of the dialogues of some partitions, in the order in which the browser holds them.
WITH seeds AS (
    SELECT seed_id, question, answer, reference_final, system, licence, origin_file, origin_row
    FROM some_seeds
    WHERE seed_id IN (SELECT seed_id FROM some_dialogues UNION ALL SELECT partner_seed_id FROM some_dialogues)
),
plans AS (
    SELECT
        seed_id,
        representative,
        drawn_scenario,
        repetitions,
        CASE WHEN NOT isnan(partner_similarity) THEN round(partner_similarity::DOUBLE, 4) END AS partner_similarity
    FROM some_plans
    WHERE seed_id IN (SELECT seed_id FROM some_dialogues)
)
SELECT
    scores AS scored,
    dialogues AS dialogue,
    decided.verdict,
    decided.reason,
    decided.detail,
    plans AS plan,
    seed,
    partner
FROM some_scores AS scores
LEFT JOIN some_dialogues AS dialogues USING (dialogue_id)
LEFT JOIN decided USING (dialogue_id)
LEFT JOIN plans ON plans.seed_id = scores.seed_id
LEFT JOIN seeds AS seed ON seed.seed_id = scores.seed_id
LEFT JOIN seeds AS partner ON partner.seed_id = dialogues.partner_seed_id
ORDER BY scores.shard, scores.dialogue_id
