"""The report's numbers: of the stored rows alone."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.report.findings import too_small
from assets.report.inputs import NO_SEEDS, NothingScored, read_inputs
from assets.report.lengths import bin_name
from assets.report.numbers import compute, rounded
from assets.report.published import load_published

BASE = "smollm2-135m"
AGAIN = {f"{BASE}-seed1": BASE, f"{BASE}-seed2": BASE}


def numbers_of(marks: Any, seed_of: Mapping[str, str] = NO_SEEDS) -> Any:
    marks.write()
    return compute(read_inputs(marks.lake, [BASE], seed_of), load_published())


def found(rows: Any, **wanted: Any) -> Any:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def test_without_any_score_there_is_nothing_to_report(marks: Any) -> None:
    with pytest.raises(NothingScored, match="materialise benchmark_scores first"):
        read_inputs(marks.lake, [BASE])


def test_every_accuracy_is_that_of_the_stored_rows(whole: Any) -> None:
    numbers = compute(read_inputs(whole.lake, [BASE]), load_published())
    answers = whole.lake.read(BENCHMARK_ANSWERS)
    expected = answers.group_by("base", "variant", "benchmark", "stage").agg((pl.col("verdict") == "right").mean())
    by_hand = {tuple(row[:4]): row[4] for row in expected.rows()}
    told = {(row["base"], row["variant"], row["benchmark"], row["stage"]): row["accuracy"] for row in numbers["scores"]}
    assert told == pytest.approx(by_hand, abs=1e-6)


def test_the_same_rows_give_the_same_numbers(whole: Any) -> None:
    first, second = (compute(read_inputs(whole.lake, [BASE]), load_published()) for _ in range(2))
    assert first == second


def test_the_scores_table_says_the_same(whole: Any) -> None:
    numbers = compute(read_inputs(whole.lake, [BASE]), load_published())
    for score in whole.lake.read(BENCHMARK_SCORES).iter_rows(named=True):
        key = {name: score[name] for name in ("base", "variant", "benchmark", "stage")}
        row = found(numbers["scores"], **key)
        assert (row["accuracy"], row["low"], row["high"]) == pytest.approx(
            (score["accuracy"], score["accuracy_low"], score["accuracy_high"]), abs=1e-6
        )
        assert (row["by"], row["pass_at"]) == (score["accuracy_by"], rounded(score["pass_at"]))


def test_intervals_are_clustered_where_questions_share_enough_sources(whole: Any) -> None:
    numbers = compute(read_inputs(whole.lake, [BASE]), load_published())
    mine = {"base": "llama-3-8b", "variant": "ori"}
    rows = {name: found(numbers["scores"], benchmark=name, **mine) for name in ("mmlu", "math", "arc")}
    assert {name: (row["by"], row["sources"], row["few_sources"]) for name, row in rows.items()} == {
        "mmlu": ("clustered bootstrap", 30, 0),
        "math": ("Wilson", 7, 7),
        "arc": ("Wilson", 120, 0),
    }


def test_what_shares_few_sources_is_known_of_differences_and_averages_too(whole: Any) -> None:
    numbers = compute(read_inputs(whole.lake, [BASE]), load_published())
    assert found(numbers["by_benchmark"], benchmark="math")["few_sources"] == 7
    assert found(numbers["by_benchmark"], benchmark="mmlu")["few_sources"] == 0
    assert found(numbers["averages"], base="llama-3-8b", variant="ori")["few_sources"] == 7


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


def test_training_seeds_are_one_base_with_their_mean_and_spread(seeded: Any) -> None:
    numbers = numbers_of(seeded, AGAIN)
    assert numbers["bases"] == [BASE]
    for rows, name in ((numbers["scores"], "accuracy"), (numbers["averages"], "average")):
        row = found(rows, variant="boost_qa")
        assert [row[key] for key in (name, "seeds", "lowest", "highest")] == [0.75, 3, 0.5, 1.0]
    assert found(numbers["scores"], variant="untuned")["seeds"] == 1


def test_a_question_counts_once_however_many_seeds_answered_it(seeded: Any) -> None:
    numbers = numbers_of(seeded, AGAIN)
    row = found(numbers["by_benchmark"], benchmark="sums")
    assert (row["items"], row["better_on"], row["worse_on"]) == (4, 3, 0)
    assert row["difference"] == pytest.approx(0.75 - 4 / 12, abs=1e-6)
    assert (row["seeds"], row["lowest"], row["highest"]) == (3, 0.25, 0.5)


def test_training_seeds_are_one_comparison_and_not_several(seeded: Any) -> None:
    (row,) = numbers_of(seeded, AGAIN)["by_benchmark"]
    assert row["p_holm"] == row["p"]
    assert len(numbers_of(seeded)["by_benchmark"]) == 3


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


def test_a_difference_is_paired_by_question(marks: Any) -> None:
    marks.answer("ori", "sums", [True, True, False, False, False])
    marks.answer("boost_qa", "sums", [True, False, True, True, False])
    row = found(numbers_of(marks)["by_benchmark"], benchmark="sums")
    assert (row["difference"], row["better_on"], row["worse_on"], row["items"]) == (0.2, 2, 1, 5)


def test_a_question_that_was_asked_in_other_words_is_not_compared(marks: Any) -> None:
    marks.answer("ori", "sums", [True] * 4)
    marks.answer("boost_qa", "sums", [True] * 4)
    marks.asked[BASE, "boost_qa"][0]["prompt_hash"] = "f" * 32
    assert found(numbers_of(marks)["by_benchmark"], benchmark="sums")["items"] == 3


def test_variants_of_other_releases_are_not_compared(marks: Any) -> None:
    marks.answer("ori", "sums", [True] * 4)
    marks.write(release="another")
    marks.asked.clear()
    marks.answer("boost_qa", "sums", [True] * 4)
    numbers = numbers_of(marks)
    assert numbers["by_benchmark"] == []
    assert "different releases" in str(numbers["missing"])


def test_an_answer_that_could_not_be_had_counts_as_not_right_and_is_told(marks: Any) -> None:
    failed = {"verdict": "failed", "reason": "not_answered", "output": None, "finish_reason": None, "decided_by": None}
    marks.answer("ori", "sums", [True])
    marks.answer("ori", "sums", [False], sample=1, **failed)
    numbers = numbers_of(marks)
    assert found(numbers["scores"], benchmark="sums")["accuracy"] == 0.5
    assert "the model's answer could not be had" in str(numbers["excluded"])


def test_a_partition_whose_gate_failed_is_left_out_and_named(marks: Any) -> None:
    marks.answer("ori", "sums", [True])
    marks.write(gate="failed")
    marks.asked.clear()
    marks.answer("untuned", "sums", [True])
    numbers = numbers_of(marks)
    assert {row["variant"] for row in numbers["scores"]} == {"untuned"}
    assert f"{BASE}|ori: its gate failed" in str(numbers["excluded"])


def test_an_average_needs_every_benchmark(marks: Any) -> None:
    marks.answer("ori", "sums", [True, False])
    marks.answer("ori", "words", [True, True])
    marks.answer("untuned", "sums", [True, False])
    numbers = numbers_of(marks)
    assert found(numbers["averages"], variant="ori")["average"] == 0.75
    assert found(numbers["averages"], variant="untuned")["average"] is None
    assert "was not asked words" in str(numbers["missing"])


def test_averages_are_over_the_papers_benchmarks_where_there_are_any(whole: Any) -> None:
    numbers = compute(read_inputs(whole.lake, [BASE]), load_published())
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


def test_bins_are_named_by_their_ends() -> None:
    assert [bin_name(low) for low in (0, 250, 300)] == ["0–49", "250–299", "300 and more"]


def test_costs_are_a_share_of_what_was_accepted(marks: Any) -> None:
    marks.answer("ori", "sums", [True])
    row = found(numbers_of(marks)["costs"], scenario="all")
    assert (row["dialogues"], row["accepted"], row["tokens"]) == (8, 7, 8 * 120)
    assert row["tokens_an_accepted"] == pytest.approx(8 * 120 / 7, abs=1e-5)


def test_procedural_errors_stand_beside_the_papers(marks: Any) -> None:
    marks.answer("ori", "sums", [True])
    rows = numbers_of(marks)["errors"]
    assert found(rows, what="judged wrong, all that were judged")["errors"] == 1
    assert found(rows, what="the paper's")["share"] == 0.041


def test_what_the_release_left_out_is_told_with_its_reason(marks: Any) -> None:
    marks.answer("ori", "sums", [True])
    assert {"what": "dialogue", "why": "rejected: judged_wrong", "number": 1} in numbers_of(marks)["excluded"]


def test_variants_without_scores_are_missing_not_wrong(marks: Any) -> None:
    marks.answer("untuned", "sums", [True])
    missing = found(numbers_of(marks)["missing"], what=f"scores of {BASE}")
    assert "boost_qa" in missing["which"]


def test_few_conversations_say_nothing_about_the_method(marks: Any) -> None:
    marks.answer("ori", "sums", [True])
    assert too_small(numbers_of(marks), load_published()) == [
        "BOOST-QA has 5 conversations to train on, the paper's 19,000"
    ]


def test_a_large_run_with_a_clear_difference_is_not_too_small() -> None:
    partitions = [{"variant": "boost_qa", "rows": 17000}]
    compared = [{"variant": "boost_qa", "low": 0.01, "high": 0.09}]
    told = {"partitions": partitions, "by_variant": compared, "release": None}
    assert too_small(told, load_published()) == []


def test_a_large_run_on_few_questions_is_too_small() -> None:
    partitions = [{"variant": "boost_qa", "rows": 17000}]
    compared = [{"variant": "boost_qa", "low": -0.05, "high": 0.09}]
    told = {"partitions": partitions, "by_variant": compared, "release": None}
    assert too_small(told, load_published()) == [
        "the difference is known to within 7.0 points at best, and the paper's smallest average gain is 2.9"
    ]


def test_the_papers_averages_are_those_of_its_columns() -> None:
    base = load_published().bases["llama-3-8b"]
    for variant, figures in base.benchmarks.items():
        assert sum(figures) / len(figures) == pytest.approx(base.averages[variant], abs=0.006)
