"""What stands in the folder of a browser, and what is never written into it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.dialogue_browser import gathering, writing
from assets.dialogue_browser.files import read_data_file
from assets.dialogue_browser.gathering import BrowserError, reasons, title
from assets.dialogue_browser.writing import write_browser
from assets.framework.partitions import Scenario
from tests.tiny_lake import TinyLake


def read(folder: Path, name: str) -> Any:
    return read_data_file((folder / f"{name}.js").read_bytes())


def dialogues(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((folder / "dialogues").iterdir()):
        yield from read_data_file(path.read_bytes())


def of(folder: Path, dialogue_id: str) -> dict[str, Any]:
    (found,) = [row for row in dialogues(folder) if row["id"] == dialogue_id]
    return found


def written(lake: TinyLake, folder: Path) -> writing.Written:
    return write_browser(lake.lake, lake.release(), folder)


def test_every_dialogue_is_there_with_its_verdict(tiny_lake: TinyLake, folder: Path) -> None:
    tiny_lake.change("paint", status="set_aside")
    found = written(tiny_lake, folder)
    verdicts = {row["id"]: row["verdict"] for row in dialogues(folder)}
    assert len(verdicts) == found.dialogues == 8
    assert verdicts.pop(tiny_lake.taught["moon"].dialogue_id) == "rejected"
    assert verdicts.pop(tiny_lake.taught["paint"].dialogue_id) == "set_aside"
    assert set(verdicts.values()) == {"accepted"}


def test_the_index_says_the_same_in_columns(tiny_lake: TinyLake, folder: Path) -> None:
    written(tiny_lake, folder)
    index, rows = read(folder, "index"), list(dialogues(folder))
    columns = index["columns"]
    for name in ("scenario", "source", "split"):
        assert [index["values"][name][code] for code in columns[name]] == [row["scored"][name] for row in rows]
    assert all(row["id"].startswith(short) for row, short in zip(rows, columns["id"], strict=True))
    told = [[index["values"]["reason"][code] for code in index["reasonSets"][place]] for place in columns["reasons"]]
    assert told == [row["reasons"] for row in rows]
    assert columns["score"] == [round(1000 * row["scored"]["quality_score"]) for row in rows]


def test_titles_follow_the_order_of_the_dialogues(
    tiny_lake: TinyLake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "TITLES", 3)
    written(tiny_lake, folder)
    files = sorted((folder / "titles").iterdir())
    titles = [read_data_file(path.read_bytes()) for path in files]
    assert [len(some) for some in titles] == [3, 3, 2]
    assert [one for some in titles for one in some] == [row["seed"]["question"] for row in dialogues(folder)]


def test_pages_hold_so_many_dialogues_and_the_index_knows_where_they_begin(
    tiny_lake: TinyLake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PAGE_ROWS", 3)
    assert written(tiny_lake, folder).pages == 3
    assert read(folder, "index")["pageStarts"] == [0, 3, 6]


def test_a_page_of_long_dialogues_holds_fewer(tiny_lake: TinyLake, folder: Path) -> None:
    long = "so " * 200_000
    tiny_lake.change_every(words=(long, long, "why?", "seven"))
    assert written(tiny_lake, folder).pages == 8


def test_dialogues_are_in_the_same_order_however_they_are_grouped(
    tiny_lake: TinyLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []
    for rows in (1, 1000):
        monkeypatch.setattr(gathering, "GROUP_ROWS", rows)
        folders.append(tmp_path / str(rows))
        written(tiny_lake, folders[-1])
    once, again = ({path.name: path.read_bytes() for path in folder.rglob("*.js")} for folder in folders)
    assert once == again


def test_lineage_is_told(tiny_lake: TinyLake, folder: Path) -> None:
    written(tiny_lake, folder)
    found = of(folder, tiny_lake.taught["loop"].dialogue_id)
    assert found["scored"]["seed_id"] == tiny_lake.taught["loop"].seed_id
    assert found["dialogue"]["partner_seed_id"] == tiny_lake.taught["apples"].seed_id
    assert found["partner"]["question"] == tiny_lake.taught["apples"].question
    assert found["plan"]["drawn_scenario"] == Scenario.ANALOGY.value
    assert {turn["model"] for turn in found["dialogue"]["turns"]} == {"SmolLM2-135M-Instruct"}
    assert {turn["prompt_version"] for turn in found["dialogue"]["turns"]} == {"0123456789abcdef"}
    assert found["seed"]["licence"] == "MIT"


def test_without_a_partner_there_is_none(tiny_lake: TinyLake, folder: Path) -> None:
    written(tiny_lake, folder)
    assert of(folder, tiny_lake.taught["apples"].dialogue_id)["partner"] is None


def test_nothing_is_told_of_a_retracted_seed_but_that_it_was(tiny_lake: TinyLake, folder: Path) -> None:
    taken_down = tiny_lake.taught["eggs"]
    write_browser(tiny_lake.lake, tiny_lake.release(retracted=[taken_down.seed_id]), folder)
    found = of(folder, taken_down.dialogue_id)
    assert found["verdict"] == "retracted"
    assert found["seed"] is None
    assert "dozen eggs" not in str(list(dialogues(folder)))
    assert "dozen eggs" not in str(read(folder, "titles/00000"))


def test_the_same_release_gives_the_same_files(tiny_lake: TinyLake, tmp_path: Path) -> None:
    release = tiny_lake.release()
    for name in ("once", "again"):
        write_browser(tiny_lake.lake, release, tmp_path / name)
    once, again = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in ("once", "again")
    )
    assert once == again


def test_partitions_made_anew_since_the_release_are_named(tiny_lake: TinyLake, folder: Path) -> None:
    release = tiny_lake.release()
    tiny_lake.change("moon", score=0.2)
    with pytest.raises(BrowserError, match=r"made anew since release .*sums-0000.*materialise boost_qa again"):
        write_browser(tiny_lake.lake, release, folder)


def test_on_s3_it_is_the_same(tiny_s3_lake: TinyLake, folder: Path) -> None:
    assert written(tiny_s3_lake, folder).dialogues == 8


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
    assert len(title({"seed": {"question": "why? " * 1000}})) == 120
