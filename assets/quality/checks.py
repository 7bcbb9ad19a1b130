"""Checks of the scores. What each looks for is its file in `checks/`."""

from pathlib import Path

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, ResourceParam, asset_check

from assets.dialogues.schema import DIALOGUES
from assets.framework.checks import SqlCheck, found_result, keys_of_run, sql_checks
from assets.quality.configuration import QualityRules
from assets.quality.judge import PAPER_ERROR_RATE
from assets.quality.schema import SCORED
from resources.lake.tables import Lake

QUERIES = Path(__file__).parent / "checks"

SCORE_CHECKS = (
    SqlCheck(
        "one_score_a_dialogue",
        "one_score_a_dialogue.sql",
        "Every dialogue of a scored partition has one row of scores, and every row of scores its dialogue.",
        blocking=True,
    ),
    SqlCheck(
        "as_told",
        "as_told.sql",
        "Seed, source, domain, split and status are the dialogue's.",
        blocking=True,
    ),
    SqlCheck("scores_in_range", "scores_in_range.sql", "Scores and shares lie between 0 and 1.", blocking=True),
    SqlCheck(
        "accepted_without_fault",
        "accepted_without_fault.sql",
        "What the rules accept is whole, judged correct, and has no failing signal; a hand accepts whole ones only.",
        blocking=True,
    ),
    SqlCheck(
        "rejected_with_reason",
        "rejected_with_reason.sql",
        "What is rejected says why, and what the rules accept has no reason.",
    ),
    SqlCheck(
        "verdicts_in_form",
        "verdicts_in_form.sql",
        "What was judged has a class of error that fits its verdict; what was not has no verdict.",
        blocking=True,
    ),
    SqlCheck(
        "procedural_errors",
        "procedural_errors.sql",
        "The judge finds an error in no more of this run's judged dialogues than in the paper's data (4.1 %), from 100 "
        "judged on.",
        severity=AssetCheckSeverity.WARN,
        parameters={"limit": PAPER_ERROR_RATE, "least": 100},
    ),
    SqlCheck(
        "judge_discriminates",
        "judge_discriminates.sql",
        "From 20 verdicts on, a judge neither finds everything right nor everything wrong: one that does says nothing.",
        severity=AssetCheckSeverity.WARN,
        parameters={"least": 20},
    ),
    SqlCheck(
        "accepted_by_scenario",
        "accepted_by_scenario.sql",
        "Of every scenario at least a fifth of all dialogues is accepted (from 30 on).",
        severity=AssetCheckSeverity.WARN,
        parameters={"smallest": 0.2, "least": 30},
    ),
)


@asset_check(
    asset=SCORED.name,
    name="counts_reconcile",
    description="Every scored partition has as many rows as dialogues, those without any among them.",
    blocking=True,
)
def counts_reconcile(context: AssetCheckExecutionContext, lake: ResourceParam[Lake]) -> AssetCheckResult:
    """Compare the two tables' indexes, which no query over rows can do for an empty partition."""
    wanted = keys_of_run(context)
    dialogues = {record.name: record.rows for record in lake.records(DIALOGUES)}
    found = [
        {"partition": record.name, "dialogues": dialogues.get(record.name, 0), "scores": record.rows}
        for record in lake.records(SCORED)
        if (wanted is None or record.name in wanted) and dialogues.get(record.name, 0) != record.rows
    ]
    return found_result(SCORED.name, "counts_reconcile", found)


@asset_check(
    asset=SCORED.name,
    name="judge_coverage",
    description="In every partition the judge gave a verdict in form on enough of the dialogues it was asked about.",
)
def judge_coverage(
    context: AssetCheckExecutionContext, lake: ResourceParam[Lake], quality_rules: ResourceParam[QualityRules]
) -> AssetCheckResult:
    """Compare each partition's judge coverage with the rules' `judge.minimum_coverage`."""
    wanted = keys_of_run(context)
    query = (QUERIES / "judge_coverage.sql").read_text(encoding="utf-8")
    with lake.connect([SCORED]) as connection:
        rows = connection.execute(
            query, {"limit": quality_rules.judge.minimum_coverage, "tolerated": quality_rules.judge.tolerated}
        ).fetchall()
    found = [
        {"partition": f"{scenario}|{shard}", "asked about": asked, "judged": judged}
        for scenario, shard, asked, judged in rows
        if wanted is None or f"{scenario}|{shard}" in wanted
    ]
    return found_result(SCORED.name, "judge_coverage", found)


CHECKS = [sql_checks(SCORED, SCORE_CHECKS, QUERIES, [DIALOGUES]), counts_reconcile, judge_coverage]
