-- description: A seed, its near-duplicates and its similar question are in one split.
WITH asked AS (
    SELECT split, seed_id FROM released
    UNION
    SELECT split, partner_seed_id FROM released WHERE partner_seed_id IS NOT NULL
),
placed AS (
    SELECT coalesce(seeds.representative, asked.seed_id) AS representative, asked.split
    FROM asked
    LEFT JOIN raw_seeds AS seeds USING (seed_id)
),
spread AS (
    SELECT representative FROM placed GROUP BY representative HAVING min(split) <> max(split)
)
SELECT representative, list(DISTINCT split ORDER BY split) AS splits
FROM placed
SEMI JOIN spread USING (representative)
GROUP BY representative
ORDER BY representative
