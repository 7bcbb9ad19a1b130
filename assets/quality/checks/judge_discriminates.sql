-- Judges all of whose verdicts, over the whole table, are the same.
SELECT judge_model, count(*) AS verdicts, bool_and(judge_correct) AS all_correct
FROM scored_dialogues
WHERE judge_status = 'judged' AND judge_model IN (SELECT judge_model FROM this_run)
GROUP BY judge_model
HAVING verdicts >= $least AND bool_and(judge_correct) = bool_or(judge_correct)
ORDER BY judge_model
