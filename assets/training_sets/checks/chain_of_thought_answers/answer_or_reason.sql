-- description: Every seed has an answer, or the reason why it has none.
SELECT release, seed_id
FROM this_run
WHERE (answer IS NULL) = (reason IS NULL)
ORDER BY release, seed_id
