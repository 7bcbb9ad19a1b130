from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.boost_qa.card import Contents, card_header
from assets.boost_qa.configuration import Benchmark, ReleaseRules
from assets.boost_qa.release import Release
from assets.framework.partitions import Scenario
from tests.tiny_lake import TinyLake


def card_of(tiny_lake: TinyLake, release: Release) -> str:
    return Path(tiny_lake.lake.store.uri(f"{release.folder}/README.md")).read_text(encoding="utf-8")


def header_of(*licences: str, rows: int = 1) -> dict[str, Any]:
    told = Contents(
        rows=[{"split": "train", "scenario": "debate", "rows": rows}],
        sources=[{"source": f"s{n}", "domain": "math", "licence": name, "rows": 1} for n, name in enumerate(licences)],
        cast=[],
        removed=[],
        changes=None,
        judges=(),
        judged=0,
        judged_wrong=0,
        tokens=0,
        sample={},
    )
    return card_header(ReleaseRules(), told, ["train"])


def test_the_header_is_yaml_that_names_each_splits_files(tiny_lake: TinyLake) -> None:
    header = yaml.safe_load(card_of(tiny_lake, tiny_lake.release()).split("---")[1])
    splits = {entry["split"]: entry["path"] for entry in header["configs"][0]["data_files"]}
    assert splits == {split: f"data/{split}-*.parquet" for split in ("train", "validation", "test")}


def test_the_header_names_each_licence_once() -> None:
    assert header_of("MIT", "Apache-2.0", "MIT")["license"] == ["apache-2.0", "mit"]


def test_a_licence_that_the_hub_does_not_know_is_other_and_named() -> None:
    header = header_of("MIT", "Our own")
    assert (header["license"], header["license_name"]) == (["mit", "other"], "our own")


@pytest.mark.parametrize(
    ("rows", "size"), [(999, "n<1K"), (1_000, "1K<n<10K"), (19_000, "10K<n<100K"), (10**6, "n>1M")]
)
def test_the_header_says_how_big_it_is(rows: int, size: str) -> None:
    assert header_of("MIT", rows=rows)["size_categories"] == [size]


def test_the_first_card_says_that_it_is_the_first(tiny_lake: TinyLake) -> None:
    assert "This is the first release." in card_of(tiny_lake, tiny_lake.release())


def test_the_card_says_what_changed_what_was_left_out_and_what_is_missing(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    tiny_lake.change("eggs", accepted=False, reasons=("too_short",))
    tiny_lake.write_partition(Scenario.ANALOGY, "sums-0000", gate="failed")
    card = card_of(tiny_lake, tiny_lake.release(minimum_coverage=0.5))
    assert "| not released any more: rejected | 1 |" in card
    assert r"| rejected | too\_short | 1 |" in card
    assert "covers 75.0% of 8 planned dialogues" in card
    assert "Left out: 2 failed its gate." in card


def test_the_card_says_which_benchmarks_it_was_compared_with(tiny_lake: TinyLake, tmp_path: Path) -> None:
    (tmp_path / "town.jsonl").write_text('{"q": "How old is the town?"}', encoding="utf-8")
    benchmark = Benchmark(name="town_quiz", path=str(tmp_path / "town.jsonl"), question=("q",))
    card = card_of(tiny_lake, tiny_lake.release(benchmarks=(benchmark,)))
    assert "compared with 1 benchmark questions (town_quiz)" in card
    assert str(tmp_path) not in card


def test_a_models_words_stay_words_on_the_card(tiny_lake: TinyLake) -> None:
    evil = "</blockquote><script>alert(1)</script>\n---\n# Licence: none\n![x](http://evil/x.png) `$id`"
    tiny_lake.change_every(words=("Q", evil, evil, evil))
    card = card_of(tiny_lake, tiny_lake.release())
    assert "<script>" not in card
    assert "![x](" not in card
    assert "\n# Licence" not in card
    assert yaml.safe_load(card.split("---")[1])["license"] == ["mit"]


@pytest.mark.usefixtures("pictures")
def test_every_picture_that_the_card_shows_is_in_the_release(tiny_lake: TinyLake) -> None:
    release = tiny_lake.release()
    drawn = {path.removeprefix(f"{release.folder}/") for path in release.files("plots/")}
    assert drawn == {"plots/scenarios.png", "plots/scores.png", "plots/words.png"}
    assert all(f"]({path})" in card_of(tiny_lake, release) for path in drawn)
