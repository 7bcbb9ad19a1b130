"""Checks of the dialogues. What each looks for is its file in `checks/`."""

from pathlib import Path

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, ResourceParam, asset_check

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.checks import SqlCheck, found_result, keys_of_run, sql_checks
from resources.lake.tables import Lake

QUERIES = Path(__file__).parent / "checks"

DIALOGUE_CHECKS = (
    SqlCheck("dialogue_ids_unique", "dialogue_ids_unique.sql", "No dialogue is there twice.", blocking=True),
    SqlCheck(
        "every_plan_taught",
        "every_plan_taught.sql",
        "Every plan of a written partition has one dialogue, complete or set aside, and every dialogue its plan.",
        blocking=True,
    ),
    SqlCheck("as_planned", "as_planned.sql", "Split, source, domain and partner are the plan's.", blocking=True),
    SqlCheck(
        "turns_in_order",
        "turns_in_order.sql",
        "In complete dialogues the speakers are the scenario's, in its order, and the sides alternate.",
        blocking=True,
    ),
    SqlCheck("set_aside_has_reason", "set_aside_has_reason.sql", "What is set aside says why, and nothing else does."),
    SqlCheck(
        "set_aside_share",
        "set_aside_share.sql",
        "Of no scenario more than a third of this run's dialogues were set aside (from 20 on).",
        severity=AssetCheckSeverity.WARN,
        parameters={"limit": 1 / 3, "least": 20},
    ),
    SqlCheck(
        "scenario_balance",
        "scenario_balance.sql",
        "Every scenario has at least a fifth of the complete dialogues (from 100 on).",
        severity=AssetCheckSeverity.WARN,
        parameters={"smallest": 0.2, "least": 100},
    ),
    SqlCheck(
        "weak_student_errs",
        "weak_student_errs.sql",
        "The weak student is sometimes wrong and sometimes right (where known, from 30 dialogues on).",
        severity=AssetCheckSeverity.WARN,
        parameters={"most": 0.95, "least": 30},
    ),
)


@asset_check(
    asset=DIALOGUES.name,
    name="counts_reconcile",
    description="Every written partition has as many dialogues as plans, those without any row among them.",
    blocking=True,
)
def counts_reconcile(context: AssetCheckExecutionContext, lake: ResourceParam[Lake]) -> AssetCheckResult:
    """Compare the index of written partitions with the plans, which no query over rows can do for an empty one."""
    with lake.connect([DIALOGUE_PLANS]) as connection:
        rows = connection.execute("SELECT scenario, shard, count(*) FROM dialogue_plans GROUP BY ALL").fetchall()
    wanted = keys_of_run(context)
    planned = {(scenario, shard): count for scenario, shard, count in rows}
    found = [
        {"partition": record.name, "planned": count, "dialogues": record.rows}
        for record in lake.records(DIALOGUES)
        if (wanted is None or record.name in wanted)
        and (count := planned.get((record.keys["scenario"], record.keys["shard"]), 0)) != record.rows
    ]
    return found_result(DIALOGUES.name, "counts_reconcile", found)


CHECKS = [
    sql_checks(DIALOGUES, DIALOGUE_CHECKS, QUERIES, [DIALOGUE_PLANS]),
    counts_reconcile,
]
