-- description: Every row that was read is counted under one outcome, and every new seed is in the table.
SELECT readings.source, readings.reading, readings.rows, readings.added, coalesce(new.seeds, 0) AS seeds
FROM seed_readings AS readings
LEFT JOIN (SELECT source, reading, count(*) AS seeds FROM raw_seeds GROUP BY source, reading) AS new
    USING (source, reading)
WHERE readings.source IN (SELECT source FROM this_run)
  AND (
      readings.rows
          <> readings.rejected + readings.repeated + readings.beyond_sample
           + readings.retracted + readings.held + readings.added
      OR readings.added <> coalesce(new.seeds, 0)
  )
ORDER BY readings.source, readings.reading
