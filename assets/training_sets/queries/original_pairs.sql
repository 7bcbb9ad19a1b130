-- The seeds of the release's rows, in the release's order.
SELECT
    released.seed_id,
    released.split,
    seeds.source,
    seeds.domain,
    seeds.licence,
    seeds.system,
    seeds.question,
    seeds.answer,
    seeds.reference_final,
    seeds.tests
FROM released
LEFT JOIN raw_seeds AS seeds USING (seed_id)
ORDER BY list_position(['train', 'validation', 'test'], released.split), released.id
