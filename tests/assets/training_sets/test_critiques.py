"""The set `critique`, on the tiny lake."""

from collections.abc import Mapping
from typing import Any

import pytest

from assets.training_sets.variants import NothingToMake

CONFIRMED = {"verdict_true": "yes", "gave_result": "no", "gave_calculation": "no"}
GOOD = {"verdict_true": ("yes", "no_verdict"), "gave_result": ("no",), "gave_calculation": ("no",)}


def findings(values: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"finding": name, "value": value, "good": value in GOOD[name], "reason": "", "code": name, "agreed": True}
        for name, value in values.items()
    )


@pytest.fixture(autouse=True)
def confirmed(maker: Any) -> None:
    """One review of a wrong answer that the judge confirmed."""
    maker.tiny.change("apples", finals=(None, "wrong", None, "right"), findings=findings(CONFIRMED))


def test_a_question_with_its_wrong_answer_is_followed_by_the_review(maker: Any) -> None:
    maker.tiny.change("apples", system="Be brief.")
    (row,) = maker.rows("critique").to_dicts()
    (task, review), apples = row["conversations"], maker.tiny.dialogues["apples"]
    assert (task["from"], review["from"], row["trains"]) == ("human", "gpt", [False, True])
    assert apples.question in task["value"] and "I think apples makes one." in task["value"]
    assert review["value"] == "Look at apples again."
    assert (row["system"], row["seed_id"], row["scenario"]) == ("Be brief.", apples.seed_id, "error_correction")
    manifest = maker.make("critique").manifest
    assert (manifest["form"], manifest["rows"], manifest["same_size"]) == ("conversation", {"train": 1}, False)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"finals": (None, "right", None, "right")}, "the answer is not verified to be wrong"),
        ({"finals": (None, "unknown", None, "right")}, "the answer is not verified to be wrong"),
        (
            {"findings": findings(CONFIRMED | {"verdict_true": "no_verdict"})},
            "no judge found the review's verdict true",
        ),
        ({"findings": findings(CONFIRMED | {"verdict_true": "no"})}, "no judge found the review's verdict true"),
        ({"findings": ()}, "no judge found the review's verdict true"),
        ({"signals": {"judge_status": "rules_alone"}}, "no judge found the review's verdict true"),
        ({"findings": findings(CONFIRMED | {"gave_result": "yes"})}, "the review gives the result away"),
        ({"findings": findings(CONFIRMED | {"gave_calculation": "yes"})}, "the review gives the result away"),
        ({"signals": {"gave_away_result": True}}, "the review gives the result away"),
        ({"signals": {"false_claim": True}}, "a rule found the review's verdict false"),
    ],
)
def test_a_review_that_may_be_wrong_is_left_out_and_counted(maker: Any, changes: dict[str, Any], why: str) -> None:
    maker.tiny.change("paint", finals=(None, "wrong", None, "right"), findings=findings(CONFIRMED))
    maker.tiny.change("paint", **changes)
    manifest = maker.make("critique").manifest
    assert manifest["rows"] == {"train": 1}
    assert manifest["counts"][why] >= 1


def test_without_a_review_that_is_confirmed_there_is_nothing_to_make(maker: Any) -> None:
    maker.tiny.change("apples", findings=())
    with pytest.raises(NothingToMake, match=r"no rows for 'critique' \(.*1 no judge found the review's verdict true"):
        maker.make("critique")
