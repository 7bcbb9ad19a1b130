-- description: Of every scenario at least a fifth of all dialogues is accepted (from 30 dialogues on).
-- severity: warn
-- parameters: {smallest: 0.2, least: 30}
SELECT scenario, count(*) AS dialogues, count(*) FILTER (accepted) / dialogues AS share
FROM scored_dialogues
GROUP BY scenario
HAVING dialogues >= $least AND share < $smallest
ORDER BY scenario
