-- description: Every rejected dialogue has a reason, and none that the rules accept has one.
SELECT dialogue_id, accepted, decided_by, rejection_reasons
FROM this_run
WHERE NOT accepted AND len(rejection_reasons) = 0
    OR accepted AND decided_by = 'rules' AND len(rejection_reasons) > 0
ORDER BY dialogue_id
