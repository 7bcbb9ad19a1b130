-- The questions of the release's seeds, with what their answers are compared with.
SELECT
    released.seed_id,
    seeds.shard,
    seeds.domain,
    seeds.system,
    seeds.question,
    seeds.reference_final
FROM released
JOIN raw_seeds AS seeds USING (seed_id)
ORDER BY released.seed_id
