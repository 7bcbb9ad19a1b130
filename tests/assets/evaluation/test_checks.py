"""Rows of answers, and the names of the checks that they fail."""

from typing import Any

import pytest

from assets.evaluation.checks import FOLDER
from assets.evaluation.configuration import load_benchmarks
from assets.evaluation.schema import BENCHMARK_ANSWERS
from assets.framework.check_files import sql_checks
from tests.check_cases import Rows, failing

SQL_CHECKS = sql_checks(FOLDER)


def answer(item: str, sample: int = 0, verdict: str = "right", **changes: Any) -> dict[str, Any]:
    right = {"extracted": "B", "reason": None, "decided_by": "label"}
    other = {
        "wrong": {"extracted": "A", "reason": "other_option"},
        "unreadable": {"extracted": None, "reason": "no_answer"},
        "failed": {"extracted": None, "reason": "no_answer", "decided_by": None, "output": None},
    }
    asked = {"base": "smol", "variant": "ori", "benchmark": "sums", "stage": "plain", "kind": "multiple_choice"}
    said = {"item_id": item, "sample": sample, "labels": ["A", "B"], "reference": "B", "output": "[B]"}
    return asked | said | right | {"verdict": verdict} | other.get(verdict, {}) | changes


def answers(*verdicts: str) -> Rows:
    return [answer(f"q{number}", verdict=verdict) for number, verdict in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (answers("right", "wrong"), set()),
        ([], set()),
        ([answer("q1"), answer("q1", 1), answer("q2"), answer("q2", 1)], set()),
        ([answer("q1"), answer("q1")], {"answered_once"}),
        ([answer("q1"), answer("q1", 1), answer("q2")], {"answered_once"}),
        ([answer("q1", reference="C", extracted="C")], {"labels_within_options"}),
        ([answer("q1", verdict="wrong", extracted="C")], {"labels_within_options"}),
        ([answer("q1", extracted="A")], {"labels_within_options"}),
        ([answer("q1", extracted="A", kind="code")], set()),
        ([answer("q1", verdict="wrong", reason=None)], {"reasons_given"}),
        ([answer("q1", reason="other_option")], {"reasons_given"}),
        ([answer("q1", decided_by=None)], {"reasons_given"}),
        ([answer("q1", output=None)], {"reasons_given"}),
        (answers(*["right"] * 8, *["unreadable"] * 2), set()),
        (answers(*["right"] * 7, *["unreadable"] * 3), {"unreadable_share"}),
        (answers(*["right"] * 49, "failed"), set()),
        (answers(*["right"] * 48, "failed"), {"failed_share"}),
    ],
)
def test_answers_fail_these_checks(rows: Rows, names: set[str]) -> None:
    resources = {"benchmarks": load_benchmarks("demo")}
    assert failing(SQL_CHECKS, [BENCHMARK_ANSWERS], {"benchmark_answers": rows}, resources=resources) == names
