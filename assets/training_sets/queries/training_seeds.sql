-- Every seed that its dialogue plan put into train, whatever became of its dialogue.
SELECT
    seeds.seed_id,
    seeds.source,
    seeds.domain,
    seeds.licence,
    seeds.system,
    seeds.question,
    seeds.answer,
    seeds.reference_final,
    seeds.tests,
    seeds.origin_file,
    seeds.origin_row
FROM raw_seeds AS seeds
JOIN dialogue_plans AS plans USING (seed_id)
WHERE plans.split = 'train'
ORDER BY seeds.seed_id
