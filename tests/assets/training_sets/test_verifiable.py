"""The set `rlvr`, on the tiny lake."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.training_sets.variants import NothingToMake
from assets.training_sets.verifiable import checker_of


@pytest.mark.parametrize(
    ("reference", "domain", "expected"),
    [
        ("42", "math", "math"),
        ("42 km", "general", "math"),
        (r"\frac{1}{2}", "math", "math"),
        ("x = 3", "math", "math"),
        ("(2, 3)", "math", "math"),
        ("B", "general", "label"),
        ("(C) a dog", "general", "label"),
        ("Paris", "general", None),
        ("it depends on the weather", "general", None),
        (None, "math", None),
        ("for n in range(3): print(n)", "code", None),
    ],
)
def test_numbers_formulas_and_labels_can_be_checked(reference: str | None, domain: str, expected: str | None) -> None:
    assert checker_of({"reference_final": reference, "domain": domain, "tests": None}) == expected


def test_code_with_tests_is_checked_by_them(maker: Any) -> None:
    maker.tiny.change("loop", tests="assert count(5) == [1, 2, 3, 4, 5]")
    (row,) = [row for row in rows_of(maker) if row["checker"] == "code"]
    assert row["reference_final"] == row["reward_model"]["ground_truth"] == "assert count(5) == [1, 2, 3, 4, 5]"


@pytest.fixture(autouse=True)
def references(maker: Any) -> None:
    """The answers of the tiny lake are results."""
    maker.tiny.add(*(replace(one, reference_final=one.answer) for one in maker.tiny.dialogues.values()))


def rows_of(maker: Any) -> Sequence[dict[str, Any]]:
    rows: Sequence[dict[str, Any]] = maker.rows("rlvr").to_dicts()
    return rows


def test_it_has_every_training_seed_that_can_be_checked_and_the_releases_held_out_ones(maker: Any) -> None:
    maker.tiny.change("paint", system="Be brief.")
    rows = {row["seed_id"]: row for row in rows_of(maker)}
    names = {one.name: rows.get(one.seed_id) for one in maker.tiny.dialogues.values()}
    assert {name for name, row in names.items() if row} == {"apples", "trains", "eggs", "moon", "paint"}
    paint = names["paint"]
    assert paint["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": maker.tiny.dialogues["paint"].question},
    ]
    assert (paint["reference_final"], paint["checker"], paint["split"]) == ("4", "math", "validation")
    assert paint["reward_model"]["ground_truth"] == "4"
    manifest = maker.make("rlvr").manifest
    assert (manifest["form"], manifest["rows"]) == ("verifiable", {"train": 4, "validation": 1})


def test_a_training_seed_that_a_benchmark_has_is_left_out_and_counted(maker: Any, tmp_path: Any) -> None:
    assert maker.release  # made by rules without the benchmark
    question = maker.tiny.dialogues["moon"].question
    (tmp_path / "bench.jsonl").write_text(f'{{"question": "{question}"}}\n')
    benchmark = Benchmark(name="bench", path=str(tmp_path / "bench.jsonl"), question=("question",))
    maker.release_rules = ReleaseRules(benchmarks=(benchmark,))
    counts = maker.make("rlvr").manifest["counts"]
    assert counts["contaminated by a benchmark"] == 1
    assert maker.tiny.dialogues["moon"].seed_id not in {row["seed_id"] for row in rows_of(maker)}


def test_new_seeds_give_a_new_set_of_the_same_release(maker: Any) -> None:
    first = maker.make("rlvr")
    assert maker.make("rlvr") == first
    maker.retracted = frozenset([maker.tiny.dialogues["moon"].seed_id])
    assert maker.make("rlvr").id != first.id


def test_without_a_question_that_can_be_checked_nothing_is_published(maker: Any) -> None:
    maker.tiny.change_every(reference_final=None)
    with pytest.raises(NothingToMake, match="no training seed has a result that a rule can check"):
        maker.make("rlvr")
