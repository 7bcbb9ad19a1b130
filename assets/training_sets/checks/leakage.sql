-- Seeds with their near-duplicates, and questions word for word, that stand in more than one split of a variant.
WITH held AS (
    SELECT variant, split, seed_id FROM sets
    UNION
    SELECT variant, split, partner_seed_id FROM sets WHERE partner_seed_id IS NOT NULL
),
named AS (
    SELECT held.variant, held.split, coalesce(seeds.representative, held.seed_id) AS what
    FROM held
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
