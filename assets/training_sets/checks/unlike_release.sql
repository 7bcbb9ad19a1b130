-- Seeds that stand in the original set but not in the release, or the other way round, or in another split.
SELECT coalesce(release.seed_id, original.seed_id) AS seed_id, release.split AS release, original.split AS ori
FROM boost_qa AS release
FULL JOIN ori AS original ON original.seed_id = release.seed_id AND original.split = release.split
WHERE release.seed_id IS NULL OR original.seed_id IS NULL
ORDER BY seed_id
