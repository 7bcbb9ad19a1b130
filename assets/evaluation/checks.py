"""Checks of the answers and scores of a run's partitions, or of all when run by hand."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    ResourceParam,
    multi_asset_check,
)

from assets.evaluation.configuration import Benchmarks
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.evaluation.scores import score_answers
from assets.framework.checks import SqlCheck, found_result, keys_of_run, sql_result
from resources.lake.tables import Lake, PartitionRecord

FOLDER = Path(__file__).parent / "checks"
HOME = BENCHMARK_SCORES.name
CLOSE = 1e-9

REPRODUCED = AssetCheckSpec(
    "scores_reproducible",
    asset=HOME,
    description="Every score is what its stored answers give; right, wrong, unreadable and failed add up to all.",
)


def sql_checks(benchmarks: Benchmarks) -> tuple[SqlCheck, ...]:
    """The checks as SQL, with the limits of a configuration."""
    warn = AssetCheckSeverity.WARN
    return (
        SqlCheck("answered_once", "once.sql", "Every question has the same number of answers, none of them twice."),
        SqlCheck("labels_within_options", "labels.sql", "References and what was read are options of their question."),
        SqlCheck("reasons_given", "reasons.sql", "Whatever is not right has a reason, and all but failed a decider."),
        SqlCheck(
            "unreadable_share",
            "unreadable.sql",
            f"At most {benchmarks.warn_unreadable:.0%} of a benchmark's answers could not be read.",
            warn,
            parameters={"limit": benchmarks.warn_unreadable},
        ),
        SqlCheck(
            "failed_share",
            "failed.sql",
            f"At most {benchmarks.maximum_failed:.0%} of a benchmark's answers failed.",
            parameters={"limit": benchmarks.maximum_failed},
        ),
    )


def benchmark_checks(benchmarks: Benchmarks) -> list[AssetChecksDefinition]:
    """All checks of `benchmark_scores`, as one step."""
    checks = sql_checks(benchmarks)

    @multi_asset_check(
        name=f"{HOME}_checks",
        specs=[
            *(AssetCheckSpec(check.name, asset=HOME, description=check.description) for check in checks),
            REPRODUCED,
        ],
        can_subset=True,
    )
    def benchmark_scores_checks(
        context: AssetCheckExecutionContext, lake: ResourceParam[Lake]
    ) -> Iterator[AssetCheckResult]:
        asked = {key.name for key in context.selected_asset_check_keys}
        wanted = keys_of_run(context)
        this_run = [record for record in lake.records(BENCHMARK_ANSWERS) if wanted is None or _key(record) in wanted]
        with lake.connect([BENCHMARK_ANSWERS], only={"this_run": this_run}) as connection:
            for check in checks:
                if check.name in asked:
                    yield sql_result(connection, check, FOLDER, HOME, len(this_run))
        if REPRODUCED.name in asked:
            found = [fault for record in this_run for fault in not_reproduced(lake, record)]
            yield found_result(HOME, REPRODUCED.name, found, partitions=len(this_run))

    return [benchmark_scores_checks]


def _key(record: PartitionRecord) -> str:
    return f"{record.keys['base']}|{record.keys['variant']}"


def not_reproduced(lake: Lake, record: PartitionRecord) -> list[dict[str, str]]:
    """Scores of a partition that its answers do not give, and answers that have no score."""
    answers, held = (lake.read(table, [record.keys]) for table in (BENCHMARK_ANSWERS, BENCHMARK_SCORES))
    made = {(score["benchmark"], score["stage"]): score for score in score_answers(answers)}
    faults = []
    for score in held.iter_rows(named=True):
        anew = made.pop((score["benchmark"], score["stage"]), {})
        odd = [name for name, value in anew.items() if not _same(value, score.get(name))]
        counted = sum(score[name] for name in ("right", "wrong", "unreadable", "failed"))
        odd += ["answers"] if counted != score["answers"] else []
        if odd or not anew:
            faults.append((score["benchmark"], score["stage"], f"{', '.join(odd) or 'has no answers'}"))
    faults += [(benchmark, stage, "has no score") for benchmark, stage in made]
    return [
        {"partition": _key(record), "asked": f"{benchmark}, {stage}", "fault": fault}
        for benchmark, stage, fault in faults
    ]


def _same(anew: object, held: object) -> bool:
    if isinstance(anew, float) and isinstance(held, float):
        return abs(anew - held) <= CLOSE
    return anew == (held.to_list() if isinstance(held, pl.Series) else held)
