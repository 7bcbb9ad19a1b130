-- description: In each variant a seed, its near-duplicates and its question are in one split.
WITH used AS (
    SELECT variant, split, seed_id FROM sets
    UNION
    SELECT variant, split, partner_seed_id FROM sets WHERE partner_seed_id IS NOT NULL
),
named AS (
    SELECT used.variant, used.split, coalesce(seeds.representative, used.seed_id) AS what
    FROM used
    LEFT JOIN raw_seeds AS seeds USING (seed_id)
    UNION
    SELECT variant, split, lower(trim(conversations[1].value))
    FROM sets
    WHERE variant IN (SELECT variant FROM pools)
)
SELECT variant, what[:80] AS seed_or_question, list(DISTINCT split ORDER BY split) AS splits
FROM named
GROUP BY variant, what
HAVING count(DISTINCT split) > 1
ORDER BY variant, what
