-- description: What the rules accept is complete, judged correct and has no failing signal. A manual decision accepts
--   complete dialogues only.
-- blocking: true
SELECT dialogue_id, decided_by,
    CASE
        WHEN status <> 'complete' THEN 'set aside'
        WHEN NOT structure_ok THEN 'structure'
        WHEN judge_status <> 'judged' THEN 'not judged'
        WHEN NOT judge_correct THEN 'judged wrong'
        WHEN final_answer IN ('wrong', 'missing') THEN 'final answer ' || final_answer
        WHEN truncated THEN 'truncated'
        WHEN refused THEN 'refused'
        WHEN NOT english THEN 'not English'
        WHEN betrays_reference THEN 'betrays the reference'
        WHEN secrets > 0 THEN 'secrets'
        WHEN near_duplicate_of IS NOT NULL THEN 'near-duplicate'
        WHEN code_parses = false THEN 'code does not parse'
        WHEN false_claim THEN 'false claim'
        ELSE 'gave away the result'
    END AS fault
FROM this_run
WHERE accepted AND (
    status <> 'complete'
    OR NOT structure_ok
    OR decided_by = 'rules' AND (
        judge_status <> 'judged'
        OR judge_correct IS DISTINCT FROM true
        OR final_answer IN ('wrong', 'missing')
        OR truncated OR refused OR NOT english OR betrays_reference OR secrets > 0
        OR near_duplicate_of IS NOT NULL
        OR coalesce(code_parses = false, false)
        OR coalesce(false_claim, false)
        OR coalesce(gave_away_result, false)
    )
)
ORDER BY dialogue_id
