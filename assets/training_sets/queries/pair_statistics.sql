-- By what else than its content a right answer can be known: one row about the pairs of the view `released`.
WITH sides AS (
    SELECT length(chosen[1].content) AS characters, chosen_role AS role, true AS is_chosen FROM released
    UNION ALL
    SELECT length(rejected[1].content), rejected_role, false FROM released
),
ranked AS (  -- answers of one length share the mean of their ranks
    SELECT is_chosen, rank() OVER (ORDER BY characters) + (count(*) OVER (PARTITION BY characters) - 1) / 2 AS place
    FROM sides
),
roles AS (
    SELECT role, count_if(is_chosen) AS chosen, count_if(NOT is_chosen) AS rejected FROM sides GROUP BY role
)
SELECT
    (SELECT count(*) FROM released) AS pairs,
    (SELECT avg((length(chosen[1].content) > length(rejected[1].content))::INT) FROM released) AS chosen_longer,
    (
        SELECT (sum(place) FILTER (is_chosen) - count_if(is_chosen) * (count_if(is_chosen) + 1) / 2)
            / (count_if(is_chosen) * count_if(NOT is_chosen))
        FROM ranked
    ) AS length_auc,
    (SELECT sum(greatest(chosen, rejected)) / sum(chosen + rejected) FROM roles) AS role_accuracy,
    (
        SELECT count(*) FROM released WHERE length(chosen[1].content) >= $times * length(rejected[1].content)
    ) AS much_longer
