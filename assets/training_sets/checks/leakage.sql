-- Seeds and their near-duplicates that stand in more than one split of a variant.
WITH held AS (
    SELECT 'boost_qa' AS variant, split, seed_id FROM boost_qa
    UNION
    SELECT 'boost_qa', split, partner_seed_id FROM boost_qa WHERE partner_seed_id IS NOT NULL
    UNION
    SELECT 'ori', split, seed_id FROM ori
)
SELECT
    held.variant,
    coalesce(seeds.representative, held.seed_id) AS representative,
    list(DISTINCT held.split ORDER BY held.split) AS splits
FROM held
LEFT JOIN raw_seeds AS seeds USING (seed_id)
GROUP BY held.variant, coalesce(seeds.representative, held.seed_id)
HAVING count(DISTINCT held.split) > 1
ORDER BY held.variant, representative
