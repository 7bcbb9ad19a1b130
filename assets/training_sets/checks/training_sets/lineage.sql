-- description: Every row's seed is in raw_seeds, or in the pool of its variant.
SELECT sets.variant, sets.seed_id
FROM sets
LEFT JOIN raw_seeds AS seeds USING (seed_id)
LEFT JOIN pools ON pools.variant = sets.variant AND pools.seed_id = sets.seed_id
WHERE sets.variant IS NOT NULL AND seeds.seed_id IS NULL AND pools.seed_id IS NULL
ORDER BY sets.variant, sets.seed_id
