-- description: All vectors of a source come from one embedder and have one size.
SELECT source, count(DISTINCT embedder) AS embedders, count(DISTINCT len(vector)) AS sizes
FROM seed_embeddings
WHERE source IN (SELECT source FROM this_run)
GROUP BY source
HAVING count(DISTINCT embedder) > 1 OR count(DISTINCT len(vector)) > 1
ORDER BY source
