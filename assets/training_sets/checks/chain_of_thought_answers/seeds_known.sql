-- description: Every answered seed is in raw_seeds.
SELECT answers.release, answers.seed_id
FROM this_run AS answers
ANTI JOIN raw_seeds USING (seed_id)
ORDER BY answers.release, answers.seed_id
