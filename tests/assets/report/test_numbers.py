"""The report's numbers, computed from the stored rows alone."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.framework.scenarios.scenario import Scenarios
from assets.report.coverage import NOT_SCORED
from assets.report.findings import too_small
from assets.report.formatting import title
from assets.report.inputs import NO_SEEDS, NothingScored, read_inputs
from assets.report.lengths import bin_name
from assets.report.numbers import compute, rounded
from assets.report.published import load_published
from tests.shipped_scenarios import SCENARIOS

BASE = "smollm2-135m"
AGAIN = {f"{BASE}-seed1": BASE, f"{BASE}-seed2": BASE}


def numbers_of(marks: Any, seed_of: Mapping[str, str] = NO_SEEDS) -> Any:
    marks.write()
    return compute(read_inputs(marks.lake, SCENARIOS, [BASE], seed_of), load_published())


def found(rows: Any, **wanted: Any) -> Any:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


@pytest.fixture
def numbers(reported: Any) -> Any:
    """Of the report that the session shares."""
    return reported[1].numbers


def test_without_any_score_there_is_nothing_to_report(marks: Any) -> None:
    with pytest.raises(NothingScored, match="materialise benchmark_scores first"):
        read_inputs(marks.lake, SCENARIOS, [BASE])


def test_accuracies_are_those_of_the_stored_rows_and_of_the_scores_table(reported: Any, numbers: Any) -> None:
    lake = reported[0].lake
    answers = lake.read(BENCHMARK_ANSWERS)
    expected = answers.group_by("base", "variant", "benchmark", "stage").agg((pl.col("verdict") == "right").mean())
    by_hand = {tuple(row[:4]): row[4] for row in expected.rows()}
    rows = {(row["base"], row["variant"], row["benchmark"], row["stage"]): row for row in numbers["scores"]}
    assert {key: row["accuracy"] for key, row in rows.items()} == pytest.approx(by_hand, abs=1e-6)
    for score in lake.read(BENCHMARK_SCORES).iter_rows(named=True):
        row = rows[score["base"], score["variant"], score["benchmark"], score["stage"]]
        assert (row["low"], row["high"]) == pytest.approx((score["accuracy_low"], score["accuracy_high"]), abs=1e-6)
        assert (row["by"], row["pass_at"]) == (score["accuracy_by"], rounded(score["pass_at"]))


def test_the_same_rows_give_the_same_numbers(reported: Any, numbers: Any) -> None:
    assert compute(read_inputs(reported[0].lake, SCENARIOS, [BASE]), load_published()) == numbers


@pytest.mark.parametrize(
    ("benchmark", "interval", "few"),
    [("mmlu", ("clustered bootstrap", 30), 0), ("math", ("Wilson", 7), 7), ("arc", ("Wilson", 120), 0)],
)
def test_intervals_are_clustered_where_questions_share_enough_sources(
    numbers: Any, benchmark: str, interval: tuple[str, int], few: int
) -> None:
    row = found(numbers["scores"], base="llama-3-8b", variant="ori", benchmark=benchmark)
    assert ((row["by"], row["sources"]), row["few_sources"]) == (interval, few)
    assert found(numbers["by_benchmark"], benchmark=benchmark)["few_sources"] == few
    assert found(numbers["averages"], base="llama-3-8b", variant="ori")["few_sources"] == 7


# -- training seeds ----------------------------------------------------------------------------------------------------

SEEDS = {  # right answers to four questions, of three training seeds
    "ori": ([True, False, False, False], [True, True, False, False], [True, False, False, False]),
    "boost_qa": ([True, True, True, False], [True, True, True, True], [True, True, False, False]),
}


@pytest.fixture
def seeded(marks: Any) -> Any:
    """Two variants of three training seeds each, and the untuned model once."""
    marks.answer("untuned", "sums", [False] * 4)
    for variant, answers in SEEDS.items():
        for base, right in zip((BASE, *AGAIN), answers, strict=True):
            marks.answer(variant, "sums", right, base=base)
    return marks


def test_training_seeds_are_one_base_and_one_comparison_with_their_mean_and_spread(seeded: Any) -> None:
    numbers = numbers_of(seeded, AGAIN)
    assert numbers["bases"] == [BASE]
    for rows, name in ((numbers["scores"], "accuracy"), (numbers["averages"], "average")):
        row = found(rows, variant="boost_qa")
        assert [row[key] for key in (name, "seeds", "lowest", "highest")] == [0.75, 3, 0.5, 1.0]
    assert found(numbers["scores"], variant="untuned")["seeds"] == 1
    (row,) = numbers["by_benchmark"]
    assert (row["items"], row["better_on"], row["worse_on"]) == (4, 3, 0)  # a question counts once
    assert row["difference"] == pytest.approx(0.75 - 4 / 12, abs=1e-6)
    assert (row["seeds"], row["lowest"], row["highest"]) == (3, 0.25, 0.5)
    assert row["p_holm"] == row["p"]
    assert len(numbers_of(seeded)["by_benchmark"]) == 3  # where they are not said to be seeds of one base


def test_pass_at_k_is_the_mean_over_training_seeds_and_does_not_mix_them(marks: Any) -> None:
    for base, right in ((BASE, True), (f"{BASE}-seed1", False)):
        for sample in (0, 1):
            marks.answer("ori", "programs", [right] * 3, base=base, sample=sample, kind="code")
    row = found(numbers_of(marks, AGAIN)["scores"], benchmark="programs")
    assert [(one["k"], one["share"]) for one in row["pass_at"]] == [(1, 0.5), (2, 0.5)]
    assert (row["samples"], row["over_samples"]) == (2, 0.0)


def test_a_training_seed_of_another_release_keeps_variants_from_being_compared(seeded: Any) -> None:
    seeded.write(release="another")
    for key in [key for key in seeded.asked if key[0] == f"{BASE}-seed1"]:
        del seeded.asked[key]
    numbers = numbers_of(seeded, AGAIN)
    assert numbers["by_benchmark"] == []
    assert "different releases" in str(numbers["missing"])


def test_a_training_seed_that_was_not_asked_everything_is_named(seeded: Any) -> None:
    seeded.answer("ori", "words", [True])
    missing = numbers_of(seeded, AGAIN)["missing"]
    assert f"{BASE}-seed1|ori" in found(missing, why="was not asked words, as others were")["which"]


# -- what is compared, and what is left out ----------------------------------------------------------------------------


def test_a_difference_is_paired_by_question_and_prompt(marks: Any) -> None:
    marks.answer("ori", "sums", [True, True, False, False, False, True])
    marks.answer("boost_qa", "sums", [True, False, True, True, False, True])
    marks.asked[BASE, "boost_qa"][-1]["prompt_hash"] = "f" * 32  # asked in other words
    row = found(numbers_of(marks)["by_benchmark"], benchmark="sums")
    assert (row["difference"], row["better_on"], row["worse_on"], row["items"]) == (0.2, 2, 1, 5)


def test_variants_of_other_releases_are_not_compared(marks: Any) -> None:
    marks.answer("ori", "sums", [True] * 4)
    marks.write(release="another")
    marks.asked.clear()
    marks.answer("boost_qa", "sums", [True] * 4)
    numbers = numbers_of(marks)
    assert numbers["by_benchmark"] == []
    assert "different releases" in str(numbers["missing"])


def test_a_failed_answer_counts_as_not_right_and_is_listed(marks: Any) -> None:
    failed = {"verdict": "failed", "reason": "not_answered", "output": None, "finish_reason": None, "decided_by": None}
    marks.answer("ori", "sums", [True])
    marks.answer("ori", "sums", [False], sample=1, **failed)
    numbers = numbers_of(marks)
    assert found(numbers["scores"], benchmark="sums")["accuracy"] == 0.5
    assert "the model's answer could not be had" in str(numbers["excluded"])


def test_a_partition_whose_gate_failed_is_left_out_and_listed(marks: Any) -> None:
    marks.answer("ori", "sums", [True])
    marks.write(gate="failed")
    marks.asked.clear()
    marks.answer("untuned", "sums", [True])
    numbers = numbers_of(marks)
    assert {row["variant"] for row in numbers["scores"]} == {"untuned"}
    assert f"{BASE}|ori: its gate failed" in str(numbers["excluded"])
    assert "boost_qa" in found(numbers["missing"], what=f"scores of {BASE}", why=NOT_SCORED)["which"]


def test_an_average_needs_every_benchmark(marks: Any) -> None:
    marks.answer("ori", "sums", [True, False])
    marks.answer("ori", "words", [True, True])
    marks.answer("untuned", "sums", [True, False])
    numbers = numbers_of(marks)
    assert found(numbers["averages"], variant="ori")["average"] == 0.75
    assert found(numbers["averages"], variant="untuned")["average"] is None
    assert "was not asked words" in str(numbers["missing"])


def test_averages_are_over_the_papers_benchmarks_where_there_are_any(numbers: Any) -> None:
    assert len(numbers["averaged"]["llama-3-8b"]) == 7
    assert numbers["averaged"][BASE] == ["small_choice"]


def test_pass_at_k_has_an_interval_and_samples_have_a_spread(marks: Any) -> None:
    for sample, right in enumerate(([True, False, False, True], [True, True, False, False])):
        marks.answer("ori", "programs", right, sample=sample, kind="code")
    row = found(numbers_of(marks)["scores"], benchmark="programs")
    assert [(one["k"], one["share"]) for one in row["pass_at"]] == [(1, 0.5), (2, 0.75)]
    assert all(one["low"] < one["share"] < one["high"] for one in row["pass_at"])
    assert row["over_samples"] == 0.0


def test_every_answer_is_in_one_bin_of_length(marks: Any) -> None:
    marks.answer("ori", "sums", [True] * 6, tokens=[0, 49, 50, 99, 300, 5000])
    rows = [row for row in numbers_of(marks)["length_bins"] if row["answers"]]
    assert [(row["bin"], row["answers"]) for row in rows] == [("0–49", 2), ("50–99", 2), ("300 and more", 2)]
    assert [bin_name(low) for low in (0, 250, 300)] == ["0–49", "250–299", "300 and more"]


@pytest.mark.parametrize(
    ("column", "which", "answers"), [("MMLU-Pro-math", ["mathematics"], 2), (None, ["sums", "mathematics"], 5)]
)
def test_lengths_are_of_the_papers_benchmark_where_it_was_asked(
    marks: Any, column: str | None, which: list[str], answers: int
) -> None:
    marks.answer("ori", "sums", [True] * 3, tokens=[10, 20, 30])
    marks.answer("ori", "mathematics", [True, False], column=column, tokens=[60, 70])
    numbers = numbers_of(marks)
    assert numbers["length_benchmarks"] == {BASE: which}
    assert found(numbers["lengths"], variant="ori")["answers"] == answers
    assert sum(row["answers"] for row in numbers["length_bins"]) == answers


def test_costs_and_errors_are_those_of_the_releases_dialogues(numbers: Any) -> None:
    costs = found(numbers["costs"], scenario="all")
    assert (costs["dialogues"], costs["accepted"], costs["tokens"]) == (8, 7, 8 * 120)
    assert costs["tokens_an_accepted"] == pytest.approx(8 * 120 / 7, abs=1e-5)
    assert found(numbers["errors"], what="judged wrong, all that were judged")["errors"] == 1
    assert found(numbers["errors"], what="the paper's")["share"] == 0.041
    assert {"what": "dialogue", "why": "rejected: judged_wrong", "number": 1} in numbers["excluded"]


def test_scenarios_are_those_of_the_release_the_declared_ones_first(reported: Any) -> None:
    declared = Scenarios([SCENARIOS["debate"], SCENARIOS["error_correction"]])
    numbers = compute(read_inputs(reported[0].lake, declared, [BASE]), load_published())
    names = ["error_correction", "debate", "analogy"]
    assert [row["scenario"] for row in numbers["costs"]] == [*names, "all"]
    assert [row["what"] for row in numbers["errors"]][:3] == [
        f"judged wrong, {SCENARIOS[name].title}" for name in names
    ]


def test_what_scenarios_add_follows_from_the_ablations_that_were_scored(numbers: Any) -> None:
    added = {row["against"]: row["added"] for row in numbers["scenarios"]}
    assert added == {"me_db": ["analogy"], "ep": ["error_correction", "debate"]}
    assert title(numbers, "me_db") == "error correction, debate"


# -- whether a run is large enough -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "low", "reasons"),
    [
        (17000, 0.01, []),
        (
            17000,
            -0.05,
            ["the difference is known to within 7.0 points at best, and the paper's smallest average gain is 2.9"],
        ),
        (5, 0.01, ["BOOST-QA has 5 conversations to train on, the paper's 19,000"]),
    ],
    ids=["large", "few questions", "few conversations"],
)
def test_a_run_that_is_too_small_says_why(rows: int, low: float, reasons: list[str]) -> None:
    compared = [{"variant": "boost_qa", "low": low, "high": 0.09}]
    numbers = {"partitions": [{"variant": "boost_qa", "rows": rows}], "by_variant": compared, "release": None}
    assert too_small(numbers, load_published()) == reasons


@pytest.mark.parametrize(("base", "variants"), [("llama-3-8b", 13), ("qwen2.5-7b", 2), ("mistral-7b", 2)])
def test_the_papers_averages_are_those_of_its_columns(base: str, variants: int) -> None:
    published = load_published().bases[base]
    assert len(published.benchmarks) == variants
    for variant, figures in published.benchmarks.items():
        assert sum(figures) / len(figures) == pytest.approx(published.averages[variant], abs=0.006)
