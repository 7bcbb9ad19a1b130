-- description: Rows, scenario mix, lengths and scores are about those of the previous release.
-- severity: warn
-- parameters: {share_points: 0.1, relative: 0.25}
--
-- There is no drift without a previous release. A share may change by its standard error on top of $share_points, so
-- that a tiny release does not warn.
WITH measures AS (
    SELECT * FROM (
        SELECT 'rows' AS measure, count(*)::DOUBLE AS now FROM released
        UNION ALL
        SELECT 'share of ' || scenario, count(*) / (SELECT count(*) FROM released) FROM released GROUP BY scenario
        UNION ALL
        SELECT 'mean characters', avg(list_sum(list_transform(conversations, lambda turn: len(turn.value)))) FROM released
        UNION ALL
        SELECT 'mean quality score', avg(quality_score) FROM released
    )
    FULL JOIN (
        SELECT 'rows' AS measure, count(*)::DOUBLE AS before FROM previous
        UNION ALL
        SELECT 'share of ' || scenario, count(*) / (SELECT count(*) FROM previous) FROM previous GROUP BY scenario
        UNION ALL
        SELECT 'mean characters', avg(list_sum(list_transform(conversations, lambda turn: len(turn.value)))) FROM previous
        UNION ALL
        SELECT 'mean quality score', avg(quality_score) FROM previous
    ) USING (measure)
)
SELECT measure, round(before, 3) AS before, round(now, 3) AS now
FROM measures
WHERE (SELECT count(*) FROM previous) > 0
  AND CASE
      WHEN measure = 'rows' THEN now < 0.9 * before
      WHEN measure LIKE 'share of %' THEN abs(coalesce(now, 0) - coalesce(before, 0))
          > $share_points
          + sqrt(0.25 / (SELECT count(*) FROM released) + 0.25 / (SELECT count(*) FROM previous))
      ELSE abs(now - before) > $relative * before
  END
ORDER BY measure
