-- description: Few seeds of a source are near-duplicates of others.
-- severity: warn
-- parameters: {limit: 0.2}
--
-- Seeds of one row are the questions of a conversation, and no near-duplicates.
WITH duplicates AS (
    SELECT seed.seed_id
    FROM this_run AS seed
    LEFT JOIN raw_seeds AS other ON other.seed_id = seed.representative
    WHERE seed.seed_id <> seed.representative
      AND (seed.origin_file, seed.origin_row) IS DISTINCT FROM (other.origin_file, other.origin_row)
)
SELECT source, count(*) FILTER (seed_id IN (FROM duplicates)) AS near_duplicates, count(*) AS seeds
FROM this_run
GROUP BY source
HAVING count(*) FILTER (seed_id IN (FROM duplicates)) > $limit * count(*)
ORDER BY source
