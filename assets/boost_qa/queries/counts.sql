-- Rows of each split and scenario.
SELECT split, scenario, count(*) AS rows
FROM released
GROUP BY split, scenario
ORDER BY list_position(['train', 'validation', 'test'], split), scenario
