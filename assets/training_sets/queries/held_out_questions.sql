-- Questions of validation and test, those of analogies' partners among them.
SELECT DISTINCT seeds.seed_id, seeds.question
FROM released
JOIN raw_seeds AS seeds ON seeds.seed_id IN (released.seed_id, released.partner_seed_id)
WHERE released.split <> 'train'
ORDER BY seeds.seed_id
