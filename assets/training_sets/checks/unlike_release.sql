-- Seeds that stand in a variant but not in the release, or the other way round, or in another split. What is trained on
-- of a pool is not the release's.
WITH expected AS (
    SELECT variants.variant, release.seed_id, release.split
    FROM (SELECT DISTINCT variant FROM sets WHERE variant <> 'boost_qa') AS variants
    CROSS JOIN sets AS release
    WHERE release.variant = 'boost_qa'
)
SELECT
    coalesce(expected.variant, held.variant) AS variant,
    coalesce(expected.seed_id, held.seed_id) AS seed_id,
    expected.split AS in_release,
    held.split AS in_variant
FROM expected
FULL JOIN (SELECT variant, seed_id, split FROM sets WHERE variant <> 'boost_qa') AS held
    ON held.variant = expected.variant AND held.seed_id = expected.seed_id AND held.split = expected.split
WHERE (expected.seed_id IS NULL OR held.seed_id IS NULL)
  AND NOT (
      coalesce(expected.split, held.split) = 'train'
      AND coalesce(expected.variant, held.variant) IN (SELECT variant FROM pools)
  )
ORDER BY variant, seed_id
