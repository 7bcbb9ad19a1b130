-- description: Every judged dialogue has an error class that fits its verdict; dialogues that were not judged have no
--   verdict.
-- blocking: true
SELECT dialogue_id, judge_status, judge_correct, judge_error_class
FROM this_run
WHERE judge_status = 'judged' AND (
        judge_correct IS NULL
        OR judge_error_class IS NULL
        OR judge_model IS NULL
        OR coalesce(trim(judge_reason), '') = ''
        OR judge_correct <> (judge_error_class = 'none')
    )
    OR judge_status <> 'judged' AND (judge_correct IS NOT NULL OR judge_error_class IS NOT NULL)
ORDER BY dialogue_id
