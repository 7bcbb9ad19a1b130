"""The dataset card."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.boost_qa.configuration import Benchmark
from assets.boost_qa.dataset_card import card_header
from assets.boost_qa.release import Release
from resources.identity import stable_hash
from tests.tiny_lake import TinyLake


def card_of(tiny_lake: TinyLake, release: Release) -> str:
    return Path(tiny_lake.lake.store.uri(f"{release.folder}/README.md")).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("licences", "rows", "expected"),
    [
        (["MIT", "Apache-2.0", "MIT"], 999, {"license": ["apache-2.0", "mit"], "size_categories": ["n<1K"]}),
        (["MIT", "Our own"], 1_000, {"license": ["mit", "other"], "license_name": "our own"}),
        (["MIT"], 1_000, {"size_categories": ["1K<n<10K"]}),
        (["MIT"], 19_000, {"size_categories": ["10K<n<100K"]}),
        (["MIT"], 10**6, {"size_categories": ["n>1M"]}),
    ],
)
def test_the_header_has_each_licence_once_and_the_size(licences: list[str], rows: int, expected: Any) -> None:
    sources = [{"source": f"s{n}", "domain": "math", "licence": name, "rows": 1} for n, name in enumerate(licences)]
    header = card_header("BOOST-QA", [{"split": "train", "scenario": "debate", "rows": rows}], sources)
    assert {name: header[name] for name in expected} == expected


def test_the_first_card_lists_each_splits_files_and_says_that_it_is_the_first(tiny_lake: TinyLake) -> None:
    card = card_of(tiny_lake, tiny_lake.release())
    header = yaml.safe_load(card.split("---")[1])
    splits = {entry["split"]: entry["path"] for entry in header["configs"][0]["data_files"]}
    assert splits == {split: f"data/{split}-*.parquet" for split in ("train", "validation", "test")}
    assert "This is the first release." in card


def test_the_card_lists_seeds_with_a_doubtful_reference(tiny_lake: TinyLake) -> None:
    tiny_lake.change("eggs", accepted=False, reasons=("doubtful_reference",))
    card = card_of(tiny_lake, tiny_lake.release())
    assert "reference answers of these seeds wrong" in card
    assert f"| {stable_hash('seed', 'eggs')} | sums | 1 |" in card


def test_the_card_says_what_changed_what_was_left_out_and_what_it_was_compared_with(
    tiny_lake: TinyLake, tmp_path: Path
) -> None:
    tiny_lake.release()
    tiny_lake.change("eggs", accepted=False, reasons=("too_short",))
    tiny_lake.write_partition("analogy", "sums-0000", gate="failed")
    (tmp_path / "town.jsonl").write_text('{"q": "How old is the town?"}', encoding="utf-8")
    benchmark = Benchmark(name="town_quiz", path=str(tmp_path / "town.jsonl"), question=("q",))
    card = card_of(tiny_lake, tiny_lake.release(minimum_coverage=0.5, benchmarks=(benchmark,)))
    for expected in (
        "| not released any more: rejected | 1 |",
        "| rejected | too_short | 1 |",
        "covers 75.0% of 8 planned dialogues",
        "Left out: 2 failed its gate.",
        "compared with 1 benchmark question (town_quiz)",
    ):
        assert expected in card
    assert str(tmp_path) not in card


def test_text_by_a_model_is_only_shown_on_the_card(tiny_lake: TinyLake) -> None:
    evil = "</blockquote><script>alert(1)</script>\n---\n# Licence: none\n![x](http://evil/x.png) `$id`"
    tiny_lake.change_every(words=("Q", evil, evil, evil))
    card = card_of(tiny_lake, tiny_lake.release())
    assert not [mark for mark in ("<script>", "![x](", "\n# Licence") if mark in card]
    assert yaml.safe_load(card.split("---")[1])["license"] == ["mit"]


@pytest.mark.usefixtures("pictures")
def test_every_plot_of_the_card_is_in_the_release(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    drawn = {path.removeprefix(f"{release.folder}/") for path in release.files("plots/")}
    assert drawn == {"plots/scenarios.png", "plots/scores.png", "plots/words.png"}
    assert all(f"]({path})" in card_of(tiny_lake, release) for path in drawn)


@pytest.mark.parametrize(
    ("scenario", "said"), [("error_correction", "the weak student's wrong answers included"), ("debate", None)]
)
def test_weak_students_are_named_only_where_there_are_any(tiny_lake: TinyLake, scenario: str, said: str | None) -> None:
    for name, dialogue in tiny_lake.dialogues.items():
        tiny_lake.change(name, accepted=dialogue.scenario == scenario)
    card = card_of(tiny_lake, tiny_lake.release(minimum_rows=1))
    assert ("weak student's" in card) == bool(said)
    assert (said or "every `gpt` turn, or the last one alone") in card


def test_a_small_card_is_in_words_and_has_no_holes(tiny_lake: TinyLake) -> None:
    for name in tiny_lake.dialogues:
        tiny_lake.change(name, accepted=name == "trains", reasons=() if name == "trains" else ("too_short",))
    card = card_of(tiny_lake, tiny_lake.release())
    assert "1 question-answer seed, each turned" in card
    assert "\n\n\n" not in card
    assert "\\_" not in card
