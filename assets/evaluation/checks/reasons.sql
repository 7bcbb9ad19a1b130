-- An answer that is not right without a reason, a right one with one, or one that was decided by nobody.
SELECT base || '|' || variant AS partition, benchmark || ', ' || item_id AS question, verdict
FROM this_run
WHERE (verdict = 'right') <> (reason IS NULL)
   OR (verdict = 'failed') <> (decided_by IS NULL)
   OR (verdict <> 'failed' AND output IS NULL)
ORDER BY ALL
