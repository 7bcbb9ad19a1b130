-- description: Ablations have exactly the release's dialogues of their scenarios.
WITH expected AS (
    SELECT ablations.variant, release.id, release.conversations
    FROM sets AS release
    JOIN ablations USING (scenario)
    WHERE release.variant = 'boost_qa' AND ablations.variant IN (SELECT variant FROM sets)
),
found AS (
    SELECT variant, id, conversations
    FROM sets
    WHERE variant IN (SELECT variant FROM ablations) AND scenario <> 'original'
)
SELECT coalesce(expected.variant, found.variant) AS variant, coalesce(expected.id, found.id) AS dialogue_id
FROM expected
FULL JOIN found
    ON found.variant = expected.variant AND found.id = expected.id AND found.conversations = expected.conversations
WHERE expected.id IS NULL OR found.id IS NULL
ORDER BY variant, dialogue_id
