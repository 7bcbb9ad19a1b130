-- description: From 20 verdicts on, a judge does not give the same verdict on every dialogue.
--   Passes where no judge gave a verdict.
-- severity: warn
-- parameters: {least: 20}
--
-- Over the whole table, for the judges of this run.
SELECT judge_model, count(*) AS verdicts, bool_and(judge_correct) AS all_correct
FROM scored_dialogues
WHERE judge_status = 'judged' AND judge_model IN (SELECT judge_model FROM this_run)
GROUP BY judge_model
HAVING verdicts >= $least AND bool_and(judge_correct) = bool_or(judge_correct)
ORDER BY judge_model
