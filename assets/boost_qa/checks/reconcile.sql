-- Accepted dialogues that are neither in the release nor among what it removed, and rows that quality does not accept.
SELECT dialogue_id, 'accepted, but lost' AS fault
FROM taken_scores
WHERE accepted
  AND dialogue_id NOT IN (SELECT id FROM released)
  AND dialogue_id NOT IN (SELECT dialogue_id FROM removed)
UNION ALL
SELECT released.id, 'released, but not accepted'
FROM released
JOIN taken_scores ON taken_scores.dialogue_id = released.id
WHERE NOT taken_scores.accepted
UNION ALL
SELECT released.id, 'released and removed'
FROM released
JOIN removed ON removed.dialogue_id = released.id
ORDER BY dialogue_id
