-- Partitions in which the judge gave too few verdicts in form.
SELECT
    scenario,
    shard,
    count(*) FILTER (judge_status <> 'not_asked') AS asked,
    count(*) FILTER (judge_status = 'judged') AS judged
FROM scored_dialogues
GROUP BY scenario, shard
HAVING asked > 0 AND judged < $limit * asked AND asked - judged > $tolerated
ORDER BY scenario, shard
