-- description: No dialogue and no seed is in the release twice.
SELECT 'dialogue' AS what, id AS name, count(*) AS times FROM released GROUP BY id HAVING count(*) > 1
UNION ALL
SELECT 'seed', seed_id, count(*) FROM released GROUP BY seed_id HAVING count(*) > 1
ORDER BY what, name
