-- Both sides of every row with noise, beside those of its seed.
SELECT
    sets.variant,
    sets.seed_id,
    seeds.question,
    seeds.answer,
    sets.conversations[1].value AS noisy_question,
    sets.conversations[2].value AS noisy_answer
FROM sets
JOIN raw_seeds AS seeds USING (seed_id)
WHERE sets.variant IN ($variants)
