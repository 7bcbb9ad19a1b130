-- How many dialogues have a verdict, and in how many of them the judge found wrong reasoning.
SELECT count(*) AS judged, count(*) FILTER (NOT judge_correct) AS wrong
FROM taken_scores
WHERE judge_status = 'judged'
