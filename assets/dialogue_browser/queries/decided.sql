-- What the release says of every dialogue of its partitions.
CREATE TABLE decided AS
SELECT id AS dialogue_id, 'accepted' AS verdict, NULL AS reason, NULL AS detail FROM released
UNION ALL
SELECT dialogue_id, decision, reason, detail FROM released_removed
