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
    answers.reasoned
FROM released
LEFT JOIN raw_seeds AS seeds USING (seed_id)
LEFT JOIN read_json($answers, columns = {seed_id: 'VARCHAR', reasoned: 'VARCHAR'}, format = 'newline_delimited')
    AS answers USING (seed_id)
ORDER BY list_position(['train', 'validation', 'test'], released.split), released.id
