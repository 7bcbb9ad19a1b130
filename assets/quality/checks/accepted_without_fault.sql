-- description: What the rules accept is complete, without a fault that a rule proves, and judged without fault where a
--   judge decides; where the rules decide alone, no rule finds anything. A manual decision accepts complete dialogues
--   only.
-- blocking: true
SELECT dialogue_id, decided_by,
    CASE
        WHEN status <> 'complete' THEN 'set aside'
        WHEN NOT structure_ok THEN 'structure'
        WHEN judge_status NOT IN ('judged', 'rules_alone') THEN 'not judged'
        WHEN NOT judge_correct THEN 'judged wrong'
        WHEN final_answer = 'wrong' THEN 'final answer wrong'
        WHEN truncated THEN 'truncated'
        WHEN repetition >= 1 THEN 'loop'
        WHEN secrets > 0 THEN 'secrets'
        WHEN near_duplicate_of IS NOT NULL THEN 'near-duplicate'
        WHEN code_parses = false AND domain = 'code' THEN 'code does not parse'
        ELSE 'a flag, where the rules decide alone'
    END AS fault
FROM this_run
WHERE accepted AND (
    status <> 'complete'
    OR NOT structure_ok
    OR decided_by = 'rules' AND (
        judge_status NOT IN ('judged', 'rules_alone')
        OR coalesce(NOT judge_correct, false)
        OR final_answer = 'wrong'
        OR truncated OR repetition >= 1 OR secrets > 0
        OR near_duplicate_of IS NOT NULL
        OR coalesce(code_parses = false AND domain = 'code', false)
        OR judge_status = 'rules_alone' AND len(flags) > 0
    )
)
ORDER BY dialogue_id
