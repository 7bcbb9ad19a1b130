-- description: Every row is in the split of its dialogue plan.
SELECT released.id, released.split, plans.split AS planned
FROM released
LEFT JOIN dialogue_plans AS plans USING (seed_id)
WHERE plans.split IS DISTINCT FROM released.split
ORDER BY released.id
