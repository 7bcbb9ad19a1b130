-- description: Every accepted dialogue of the release's partitions is released or among what was removed, and nothing
--   else is. Partitions that were scored again since are left to the next release.
SELECT dialogue_id, 'accepted, but lost' AS fault
FROM taken_scores
WHERE accepted
  AND dialogue_id NOT IN (SELECT id FROM released)
  AND dialogue_id NOT IN (SELECT dialogue_id FROM removed)
UNION ALL
SELECT released.id, if(scores.dialogue_id IS NULL, 'released, but not scored', 'released, but not accepted')
FROM released
LEFT JOIN taken_scores AS scores ON scores.dialogue_id = released.id
LEFT JOIN dialogue_plans AS plans ON plans.seed_id = released.seed_id AND plans.scenario = released.scenario
WHERE NOT scores.accepted
   OR (
     scores.dialogue_id IS NULL
     AND (
       (plans.scenario, plans.shard) IN (SELECT (scenario, shard) FROM taken_scores)
       OR (plans.scenario, plans.shard) NOT IN (SELECT (scenario, shard) FROM scored_dialogues)
     )
   )
UNION ALL
SELECT released.id, 'released and removed'
FROM released
JOIN removed ON removed.dialogue_id = released.id
ORDER BY dialogue_id
