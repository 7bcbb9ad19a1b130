"""Rows of a calibration, and the names of the checks that they fail."""

from typing import Any

import pytest

from assets.framework.check_files import sql_checks
from assets.judge_calibration.checks import FOLDER
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from tests.check_cases import failing


def items(kind: str, *rejected: bool | None) -> list[dict[str, Any]]:
    """One item per verdict."""
    return [
        {"judge": "a", "item_id": f"{kind}{number}", "kind": kind, "rejected": one, "rejected_by_rules": False}
        for number, one in enumerate(rejected)
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([*items("none", False, False), *items("code_bug", True, False)], set()),
        ([*items("none", True, False), *items("code_bug", True, False)], {"better_than_chance"}),
        ([*items("none", False, None), *items("code_bug", True, True)], {"judged_share"}),
    ],
)
def test_a_calibration_fails_the_checks_that_it_should(rows: list[dict[str, Any]], expected: set[str]) -> None:
    found = failing(sql_checks(FOLDER), [JUDGE_CALIBRATION], {JUDGE_CALIBRATION.name: rows})
    assert found == expected
