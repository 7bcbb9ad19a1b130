-- description: The judge gave a valid verdict on at least nine in ten items. Passes where no judge was asked.
-- severity: warn
-- parameters: {least: 0.9}
SELECT judge, count(*) AS items, count(rejected) AS judged
FROM this_run
GROUP BY judge
HAVING judged < $least * items
