"""What is in the folder of a browser, and what is never written into it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assets.dialogue_browser.files import read_data_file
from assets.dialogue_browser.gathering import BrowserError, reasons, released_partitions, title
from assets.dialogue_browser.writing import FileSizes, Written, explanations, write_browser
from assets.judge_calibration.rates import Rates, error_figures
from assets.quality.schema import SCORED
from tests.tiny_lake import TinyLake


def read(folder: Path, name: str) -> Any:
    return read_data_file((folder / f"{name}.js").read_bytes())


def dialogues(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((folder / "dialogues").iterdir()):
        yield from read_data_file(path.read_bytes())


def dialogue(folder: Path, dialogue_id: str) -> dict[str, Any]:
    (found,) = [row for row in dialogues(folder) if row["id"] == dialogue_id]
    return found


def write(lake: TinyLake, folder: Path, **sizes: int) -> Written:
    return write_browser(lake.lake, lake.release(), folder, FileSizes(**sizes))


def test_every_dialogue_is_there_with_its_verdict_and_the_index_says_the_same(
    tiny_lake: TinyLake, folder: Path
) -> None:
    tiny_lake.change("paint", status="set_aside")
    written = write(tiny_lake, folder)
    index, rows = read(folder, "index"), list(dialogues(folder))
    verdicts = {row["id"]: row["verdict"] for row in rows}
    assert len(verdicts) == written.dialogues == 8
    assert verdicts.pop(tiny_lake.dialogues["moon"].dialogue_id) == "rejected"
    assert verdicts.pop(tiny_lake.dialogues["paint"].dialogue_id) == "set_aside"
    assert set(verdicts.values()) == {"accepted"}
    values, columns = index["values"], index["columns"]
    for name in ("scenario", "source", "split"):
        assert [values[name][code] for code in columns[name]] == [row["scored"][name] for row in rows]
    assert all(row["id"].startswith(short) for row, short in zip(rows, columns["id"], strict=True))
    codes = [index["reasonSets"][code] for code in columns["reasons"]]
    assert [[values["reason"][code] for code in some] for some in codes] == [row["reasons"] for row in rows]
    assert columns["score"] == [round(1000 * row["scored"]["quality_score"]) for row in rows]


def test_the_index_says_how_often_the_judge_errs_as_the_release_does(tiny_lake: TinyLake, folder: Path) -> None:
    release = tiny_lake.release()
    figures = error_figures(Rates(planted=40, caught=36, untouched=50, rejected=0), judged=8, wrong=1)
    write_browser(tiny_lake.lake, replace(release, manifest={**release.manifest, "calibration": figures}), folder)
    said = read(folder, "index")["judge_errors"]
    assert said.startswith("planted faults that the judge passed: 10.0% (4.0 to 23.1); untouched dialogues")


def test_without_a_calibration_the_index_says_nothing_of_the_judge(tiny_lake: TinyLake, folder: Path) -> None:
    write(tiny_lake, folder)
    assert read(folder, "index")["judge_errors"] == ""


def test_files_have_as_many_titles_and_dialogues_as_they_should_in_one_order(tiny_lake: TinyLake, folder: Path) -> None:
    assert write(tiny_lake, folder, titles=3, page_rows=3).pages == 3
    assert read(folder, "index")["pageStarts"] == [0, 3, 6]
    titles = [read_data_file(path.read_bytes()) for path in sorted((folder / "titles").iterdir())]
    assert [len(some) for some in titles] == [3, 3, 2]
    assert [one for some in titles for one in some] == [row["seed"]["question"] for row in dialogues(folder)]


def test_a_page_of_long_dialogues_has_fewer(tiny_lake: TinyLake, folder: Path) -> None:
    long = "so " * 200_000
    tiny_lake.change_every(words=(long, long, "why?", "seven"))
    assert write(tiny_lake, folder).pages == 8


def test_the_same_release_gives_the_same_files_however_its_partitions_are_grouped(
    tiny_lake: TinyLake, tmp_path: Path
) -> None:
    found = []
    for rows in (1, 1000, 1000):
        folder = tmp_path / str(len(found))
        write(tiny_lake, folder, group_rows=rows)
        found.append({path.name: path.read_bytes() for path in folder.rglob("*.*")})
    assert found[0] == found[1] == found[2]


def test_a_dialogue_has_its_lineage(tiny_lake: TinyLake, folder: Path) -> None:
    write(tiny_lake, folder)
    loop, apples = tiny_lake.dialogues["loop"], tiny_lake.dialogues["apples"]
    found = dialogue(folder, loop.dialogue_id)
    assert found["scored"]["seed_id"] == loop.seed_id
    assert found["dialogue"]["partner_seed_id"] == apples.seed_id
    assert found["partner"]["question"] == apples.question
    assert found["plan"]["drawn_scenario"] == "analogy"
    assert {(turn["model"], turn["prompt_version"]) for turn in found["dialogue"]["turns"]} == {
        ("SmolLM2-135M-Instruct", "0123456789abcdef")
    }
    assert found["seed"]["licence"] == "MIT"
    assert dialogue(folder, apples.dialogue_id)["partner"] is None


def test_a_retracted_seed_leaves_no_text(tiny_lake: TinyLake, folder: Path) -> None:
    eggs = tiny_lake.dialogues["eggs"]
    write_browser(tiny_lake.lake, tiny_lake.release(retracted=[eggs.seed_id]), folder)
    found = dialogue(folder, eggs.dialogue_id)
    assert (found["verdict"], found["seed"]) == ("retracted", None)
    assert "dozen eggs" not in str([*dialogues(folder), read(folder, "titles/00000")])


def test_partitions_that_changed_since_the_release_are_named(tiny_lake: TinyLake, folder: Path) -> None:
    release = tiny_lake.release()
    tiny_lake.change("moon", score=0.2)
    with pytest.raises(BrowserError, match=r"changed since release .*sums-0000.*materialise boost_qa again"):
        write_browser(tiny_lake.lake, release, folder)


@pytest.mark.parametrize(
    ("verdict", "reason", "codes", "expected"),
    [
        ("accepted", None, ["too_short"], []),
        ("rejected", "copied, too_short", ["copied", "too_short"], ["copied", "too_short"]),
        ("rejected", "", [], ["decided_by_hand"]),
        ("set_aside", "cut_off", ["set_aside"], ["cut_off"]),
        ("contaminated", "HumanEval", [], ["contaminated by HumanEval"]),
        ("near_duplicate", "near_duplicate", [], ["near_duplicate"]),
    ],
)
def test_reasons_are_short_codes(verdict: str, reason: str | None, codes: list[str], expected: list[str]) -> None:
    assert reasons({"verdict": verdict, "reason": reason, "scored": {"rejection_reasons": codes}}) == expected


def test_a_title_is_one_short_line() -> None:
    assert title({"seed": {"question": "How many\n\tapples?"}}) == "How many apples?"
    assert title({"seed": {"question": "why now? " * 1000}}) == f"{'why now? ' * 12}why now?…"
    assert len(title({"seed": {"question": "why" * 1000}})) == 120


def test_reasons_have_their_limits_where_all_partitions_were_scored_by_the_same(
    tiny_lake: TinyLake, folder: Path
) -> None:
    release = tiny_lake.release()
    write_browser(tiny_lake.lake, release, folder)
    reasons = read(folder, "index")["reasons"]
    expected = {"meaning": "a speaker copies another", "signal": "copied_share", "at_most": 0.5}
    assert reasons["copied"] == expected
    assert reasons["off_reference"]["at_least"] == {"math": 0.5, "code": 0.5, "general": 0.5}
    keys = {"scenario": "debate", "shard": "sums-0000"}
    other = tiny_lake.lake.read(SCORED, [keys])
    (record,) = [one for one in tiny_lake.lake.records(SCORED) if one.keys == keys]
    tiny_lake.lake.write(SCORED, keys, other, fingerprint=record.fingerprint, facts={"limits": {"copied_share": 0.9}})
    partitions = released_partitions(tiny_lake.lake, release)
    assert explanations(tiny_lake.lake, partitions)["copied"].get("at_most") is None
