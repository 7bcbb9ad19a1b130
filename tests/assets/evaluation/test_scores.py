"""Scores of stored answers."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from assets.evaluation.scores import per_question, score, score_answers


def answers(right: Sequence[bool], *, of_a_source: int = 1, **values: Any) -> pl.DataFrame:
    """One answer to each of so many questions, of which so many neighbours share a source."""
    numbers = range(len(right))
    told = {"base": "b", "run": "b", "variant": "ori", "benchmark": "sums", "kind": "judged", "stage": "plain"}
    spent = {"model": "m", "sample": 0, "finish_reason": "stop", "prompt_tokens": 10, "completion_tokens": 20}
    return pl.DataFrame(
        {
            "item_id": [f"q{number:03d}" for number in numbers],
            "cluster": [f"source {number // of_a_source}" for number in numbers],
            "verdict": ["right" if one else "wrong" for one in right],
            "prompt_hash": [f"{number:032d}" for number in numbers],
        }
    ).with_columns(pl.lit(value).alias(name) for name, value in (told | spent | values).items())


def test_passages_that_are_right_or_wrong_as_a_whole_make_the_interval_wide() -> None:
    (found,) = score_answers(answers([number // 10 % 2 == 0 for number in range(400)], of_a_source=10).drop("run"))
    assert (found["accuracy"], found["items"], found["sources"]) == (0.5, 400, 40)
    assert found["accuracy_by"] == "clustered bootstrap"
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx((0.35, 0.65), abs=0.03)


def test_pass_at_k_is_clustered_as_accuracy_is() -> None:
    rows = answers([number // 10 % 2 == 0 for number in range(400)], of_a_source=10, kind="code")
    (first,) = score(rows)["pass_at"]
    assert (first["k"], first["share"], first["by"]) == (1, 0.5, "clustered bootstrap")
    assert (first["low"], first["high"]) == pytest.approx((0.35, 0.65), abs=0.03)


def test_of_several_runs_only_questions_count_that_each_was_asked() -> None:
    rows = pl.concat([answers([True, False, True]), answers([True, True], run="again")])
    assert per_question(rows).select("item_id", "share").rows() == [("q000", 1.0), ("q001", 0.5)]


def test_a_question_that_runs_were_asked_in_other_words_has_no_prompt_in_common() -> None:
    rows = pl.concat([answers([True]), answers([True], run="again", prompt_hash="f" * 32)])
    assert per_question(rows)["prompt_hash"].to_list() == [None]
