-- How many dialogues have a verdict, in how many of them the judge found wrong reasoning, and the share of those that a
-- jury judged on which all its judges agree.
SELECT
    count(*) AS judged,
    count(*) FILTER (NOT judge_correct) AS wrong,
    avg((len(list_filter(judge_findings, lambda found: NOT found.agreed)) = 0)::INT)
        FILTER (contains(judge_model, ', ')) AS agreed
FROM taken_scores
WHERE judge_status = 'judged'
