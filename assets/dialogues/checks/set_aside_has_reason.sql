-- Dialogues set aside without a reason, and complete ones with one.
SELECT dialogue_id, status, coalesce(status_reason, 'no reason') AS reason
FROM this_run
WHERE (status = 'set_aside') <> (coalesce(status_reason, '') <> '')
