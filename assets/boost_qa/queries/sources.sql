-- Rows of each source.
SELECT source, domain, licence, count(*) AS rows
FROM released
GROUP BY ALL
ORDER BY ALL
