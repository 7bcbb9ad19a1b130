-- description: Every question of a benchmark has the same number of answers, and no answer is in the table twice.
WITH per_question AS (
    SELECT base, variant, benchmark, stage, item_id, count(*) AS answers, count(DISTINCT sample) AS samples
    FROM this_run GROUP BY ALL
)
SELECT base || '|' || variant AS partition, benchmark || ', ' || stage AS asked, item_id
FROM per_question
WHERE answers <> samples
   OR answers <> (
       SELECT max(other.answers) FROM per_question AS other
       WHERE (other.base, other.variant, other.benchmark, other.stage)
           = (per_question.base, per_question.variant, per_question.benchmark, per_question.stage)
   )
ORDER BY ALL
