-- Seeds, their duplicates and their analogy partners that stand in more than one split.
WITH asked AS (
    SELECT split, seed_id FROM released
    UNION
    SELECT split, partner_seed_id FROM released WHERE partner_seed_id IS NOT NULL
)
SELECT
    coalesce(seeds.representative, asked.seed_id) AS representative,
    list(DISTINCT asked.split ORDER BY asked.split) AS splits
FROM asked
LEFT JOIN raw_seeds AS seeds USING (seed_id)
GROUP BY coalesce(seeds.representative, asked.seed_id)
HAVING count(DISTINCT asked.split) > 1
ORDER BY representative
