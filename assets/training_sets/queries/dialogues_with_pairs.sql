-- The release's rows in its order, each with its seed as `original_pairs.sql` has it.
SELECT
    released.*,
    struct_pack(
        seed_id := released.seed_id,
        split := released.split,
        source := seeds.source,
        domain := seeds.domain,
        licence := seeds.licence,
        system := seeds.system,
        question := seeds.question,
        answer := seeds.answer
    ) AS pair
FROM released
LEFT JOIN raw_seeds AS seeds USING (seed_id)
ORDER BY list_position(['train', 'validation', 'test'], released.split), released.id
