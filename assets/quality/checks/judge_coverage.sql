-- description: In every partition the judge gave a valid verdict on enough of the dialogues that it was asked about.
--   Passes where no judge was asked.
-- parameters:
--   limit: $quality_rules.judge.minimum_coverage
--   tolerated: $quality_rules.judge.tolerated
SELECT
    scenario || '|' || shard AS partition,
    count(*) FILTER (judge_status IN ('judged', 'not_judged')) AS asked,
    count(*) FILTER (judge_status = 'judged') AS judged
FROM this_run
GROUP BY scenario, shard
HAVING asked > 0 AND judged < $limit * asked AND asked - judged > $tolerated
ORDER BY partition
