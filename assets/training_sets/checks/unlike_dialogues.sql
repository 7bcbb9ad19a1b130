-- Dialogues of an ablation that are not the release's, or of a scenario that it leaves out; and those that it lacks.
WITH expected AS (
    SELECT ablations.variant, release.id, release.conversations
    FROM sets AS release
    JOIN ablations USING (scenario)
    WHERE release.variant = 'boost_qa' AND ablations.variant IN (SELECT variant FROM sets)
),
held AS (
    SELECT variant, id, conversations
    FROM sets
    WHERE variant IN (SELECT variant FROM ablations) AND scenario <> 'original'
)
SELECT coalesce(expected.variant, held.variant) AS variant, coalesce(expected.id, held.id) AS dialogue_id
FROM expected
FULL JOIN held
    ON held.variant = expected.variant AND held.id = expected.id AND held.conversations = expected.conversations
WHERE expected.id IS NULL OR held.id IS NULL
ORDER BY variant, dialogue_id
