-- How many training rows of the release each source has.
SELECT source, count(*) AS training_rows
FROM released
WHERE split = 'train'
GROUP BY source
ORDER BY source
