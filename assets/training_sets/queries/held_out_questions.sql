-- Questions of validation and test, including those of the partners of analogies.
SELECT DISTINCT seeds.question
FROM released
JOIN raw_seeds AS seeds ON seeds.seed_id IN (released.seed_id, released.partner_seed_id)
WHERE released.split <> 'train'
ORDER BY seeds.question
