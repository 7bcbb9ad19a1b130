-- description: Every dialogue that was set aside has a reason, and no complete one has.
SELECT dialogue_id, status, coalesce(status_reason, 'no reason') AS reason
FROM this_run
WHERE (status = 'set_aside') <> (coalesce(status_reason, '') <> '')
