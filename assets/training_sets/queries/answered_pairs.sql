-- `original_pairs.sql`, with the chain-of-thought answer where there is one.
SELECT
    released.seed_id,
    released.split,
    seeds.source,
    seeds.domain,
    seeds.licence,
    seeds.system,
    seeds.question,
    seeds.answer,
    answers.answer AS chain_of_thought,
    answers.reason
FROM released
LEFT JOIN raw_seeds AS seeds USING (seed_id)
LEFT JOIN answers USING (seed_id)
ORDER BY list_position(['train', 'validation', 'test'], released.split), released.id
