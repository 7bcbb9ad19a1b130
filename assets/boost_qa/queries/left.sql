-- Dialogues of the taken partitions that quality or a retraction keeps out of the release, and why.
CREATE TABLE removed AS
WITH judged AS (
    SELECT
        scores.* EXCLUDE (status),
        dialogues.partner_seed_id,
        dialogues.status,
        dialogues.status_reason,
        CASE
            WHEN scores.seed_id IN (SELECT seed_id FROM retracted) THEN scores.seed_id
            WHEN dialogues.partner_seed_id IN (SELECT seed_id FROM retracted) THEN dialogues.partner_seed_id
        END AS retracted_seed
    FROM taken_scores AS scores
    LEFT JOIN taken_dialogues AS dialogues USING (dialogue_id)
)
SELECT
    dialogue_id,
    seed_id,
    partner_seed_id,
    scenario,
    source,
    split,
    CASE
        WHEN retracted_seed IS NOT NULL THEN 'retracted'
        WHEN status = 'set_aside' THEN 'set_aside'
        ELSE 'rejected'
    END AS decision,
    CASE
        WHEN retracted_seed IS NOT NULL THEN 'retracted'
        WHEN status = 'set_aside' THEN split_part(coalesce(status_reason, 'unknown'), ':', 1)
        ELSE array_to_string(rejection_reasons, ', ')
    END AS reason,
    CASE
        WHEN retracted_seed IS NOT NULL THEN 'seed ' || retracted_seed
        WHEN status = 'set_aside' THEN status_reason
        ELSE decision_note
    END AS detail,
    accepted
FROM judged
WHERE NOT accepted OR retracted_seed IS NOT NULL
