"""Checks of the answers and scores: one SQL file per check in `checks/`, and the scores computed again."""

import math
from pathlib import Path

import polars as pl
from dagster import AssetChecksDefinition

from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.evaluation.scores import score_answers
from assets.framework.check_files import Check
from assets.framework.checks import TableCheckRun, table_checks
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake

FOLDER = Path(__file__).parent / "checks"
TOLERANCE = 1e-9


def not_reproduced(lake: Lake, record: PartitionRecord) -> list[dict[str, str]]:
    """Scores of a partition that its answers do not give, and answers that have no score."""
    answers, stored = (lake.read(table, [record.keys]) for table in (BENCHMARK_ANSWERS, BENCHMARK_SCORES))
    computed = {(score["benchmark"], score["stage"]): score for score in score_answers(answers)}
    faults = []
    for score in stored.iter_rows(named=True):
        expected = computed.pop((score["benchmark"], score["stage"]), {})
        different = [name for name, value in expected.items() if not _same(value, score.get(name))]
        counted = sum(score[name] for name in ("right", "wrong", "unreadable", "failed"))
        different += ["answers"] if counted != score["answers"] else []
        if different or not expected:
            faults.append((score["benchmark"], score["stage"], ", ".join(different) or "has no answers"))
    faults += [(benchmark, stage, "has no score") for benchmark, stage in computed]
    return [
        {"partition": record.name, "asked": f"{benchmark}, {stage}", "fault": fault}
        for benchmark, stage, fault in faults
    ]


def _same(expected: object, stored: object) -> bool:
    if isinstance(expected, float) and isinstance(stored, float):
        return math.isclose(expected, stored, rel_tol=0, abs_tol=TOLERANCE)
    return expected == (stored.to_list() if isinstance(stored, pl.Series) else stored)


def _all_not_reproduced(run: TableCheckRun) -> list[dict[str, str]]:
    return [fault for record in run.records for fault in not_reproduced(run.lake, record)]


PYTHON_CHECKS = [
    Check(
        "scores_reproducible",
        "Every score is what its stored answers give; right, wrong, unreadable and failed answers add up to all.",
        _all_not_reproduced,
    )
]

CHECKS: list[AssetChecksDefinition] = [
    table_checks(BENCHMARK_ANSWERS, FOLDER, [BENCHMARK_SCORES], PYTHON_CHECKS, asset=BENCHMARK_SCORES.name)
]
