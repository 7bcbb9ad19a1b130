-- Scenarios of which, over the whole table, too few dialogues are accepted.
SELECT scenario, count(*) AS dialogues, count(*) FILTER (accepted) / dialogues AS share
FROM scored_dialogues
GROUP BY scenario
HAVING dialogues >= $least AND share < $smallest
ORDER BY scenario
