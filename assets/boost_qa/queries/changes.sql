-- How dialogues moved between the previous release and this one.
WITH now AS (
    SELECT id, 'released' AS state, hash(conversations) AS said FROM released
    UNION ALL
    SELECT dialogue_id, decision, NULL FROM removed
),
before AS (
    SELECT id, 'released' AS state, hash(conversations) AS said FROM previous
    UNION ALL
    SELECT dialogue_id, decision, NULL FROM previous_removed
),
moved AS (
    SELECT
        CASE
            WHEN now.state = 'released' AND before.state IS NULL THEN 'added'
            WHEN now.state = 'released' AND before.state <> 'released' THEN 'accepted now, was ' || before.state
            WHEN before.state = 'released' AND now.state IS NULL THEN 'gone'
            WHEN before.state = 'released' AND now.state <> 'released' THEN 'not released any more: ' || now.state
            WHEN now.said IS DISTINCT FROM before.said THEN 'generated again'
        END AS change
    FROM now
    FULL JOIN before USING (id)
)
SELECT change, count(*) AS dialogues
FROM moved
WHERE change IS NOT NULL
GROUP BY change
ORDER BY change
