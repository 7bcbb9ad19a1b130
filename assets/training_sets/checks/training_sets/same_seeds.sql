-- description: Every variant has the seeds of `boost_qa` in the same splits. For a variant with a pool, this holds for
--   validation and test.
WITH expected AS (
    SELECT variants.variant, release.seed_id, release.split
    FROM (SELECT DISTINCT variant FROM sets WHERE variant <> 'boost_qa') AS variants
    CROSS JOIN sets AS release
    WHERE release.variant = 'boost_qa'
)
SELECT
    coalesce(expected.variant, found.variant) AS variant,
    coalesce(expected.seed_id, found.seed_id) AS seed_id,
    expected.split AS in_release,
    found.split AS in_variant
FROM expected
FULL JOIN (SELECT variant, seed_id, split FROM sets WHERE variant <> 'boost_qa') AS found
    ON found.variant = expected.variant AND found.seed_id = expected.seed_id AND found.split = expected.split
WHERE (expected.seed_id IS NULL OR found.seed_id IS NULL)
  AND NOT (
      coalesce(expected.split, found.split) = 'train'
      AND coalesce(expected.variant, found.variant) IN (SELECT variant FROM pools)
  )
ORDER BY variant, seed_id
