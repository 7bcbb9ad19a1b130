-- description: Every answer that is not right has a reason, and every answer that did not fail has a decider.
SELECT base || '|' || variant AS partition, benchmark || ', ' || item_id AS question, verdict
FROM this_run
WHERE (verdict = 'right') <> (reason IS NULL)
   OR (verdict = 'failed') <> (decided_by IS NULL)
   OR (verdict <> 'failed' AND output IS NULL)
ORDER BY ALL
