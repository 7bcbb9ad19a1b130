"""Publishing a folder through an asset's `Publication`, and reading it back."""

from pathlib import Path

import pytest

from assets.framework.publication import GatesFailed, Manifest, NotPublished, Publication
from resources.lake.published_folders import Overtaken, read_latest
from resources.lake.tables import Lake


def parse(lake: Lake, folder: str, manifest: Manifest) -> tuple[str, str]:
    return str(manifest["id"]), lake.store.get(f"{folder}/text").decode()


SHEETS = Publication("sheets", "sheet", 3, parse)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


def publish(lake: Lake, identity: str, *partition: str) -> tuple[str, str]:
    run = SHEETS.begin(lake, *partition)
    with run.temporary_folder() as staged:
        (staged / "text").write_text(f"text of {identity}", encoding="utf-8")
        return run.publish(staged, identity, {"author": "Ann"})


@pytest.mark.parametrize("partition", [(), ("base", "variant")])
def test_what_was_published_is_the_latest(lake: Lake, partition: tuple[str, ...]) -> None:
    publish(lake, "1", *partition)
    assert publish(lake, "2", *partition) == SHEETS.latest(lake, *partition) == ("2", "text of 2")
    folder = "/".join(("sheets", *partition, "2"))
    assert read_latest(lake.store, SHEETS.home(*partition)) == {"id": "2", "folder": folder}
    assert SHEETS.read(lake, SHEETS.folder("1", *partition)) == ("1", "text of 1")


def test_the_manifest_says_what_the_folder_is(lake: Lake) -> None:
    publish(lake, "1")
    described = Publication("sheets", "sheet", 3, lambda lake, folder, manifest: manifest).latest(lake)
    assert {name: described[name] for name in ("format", "kind", "id", "author")} == {
        "format": 3,
        "kind": "sheets",
        "id": "1",
        "author": "Ann",
    }


@pytest.mark.parametrize(
    ("deleted", "partition", "message"),
    [
        ("latest.json", (), r"there is no sheet yet \(.*latest.json is missing\); materialise sheets first"),
        ("latest.json", ("a", "b"), r"no sheet of a on b yet .*; materialise sheets, partition 'a\|b', first"),
        ("1/manifest.json", (), r"no complete sheet in sheets/1 .*manifest.json is missing.*materialise sheets again"),
        ("1/text", (), r"no complete sheet in sheets/1 .*text is missing.*materialise sheets again"),
    ],
)
def test_what_is_missing_is_named_with_what_to_materialise(
    lake: Lake, deleted: str, partition: tuple[str, ...], message: str
) -> None:
    publish(lake, "1", *partition)
    lake.store.delete(f"{SHEETS.home(*partition)}/{deleted}")
    with pytest.raises(NotPublished, match=message):
        SHEETS.latest(lake, *partition)
    assert SHEETS.find_latest(lake, *partition) is None


def test_an_incomplete_folder_is_written_again_and_is_no_previous_one(lake: Lake) -> None:
    publish(lake, "1")
    lake.store.delete("sheets/1/manifest.json")
    assert SHEETS.begin(lake).previous() is None
    assert publish(lake, "1") == ("1", "text of 1")
    assert SHEETS.begin(lake).previous() == ("1", "text of 1")


def test_a_run_that_began_earlier_does_not_move_the_pointer_back(lake: Lake) -> None:
    publish(lake, "1")
    slow = SHEETS.begin(lake)
    publish(lake, "2")
    with pytest.raises(Overtaken, match="another run published 2 meanwhile; materialise sheets again"):
        slow.point_to("1")
    assert SHEETS.latest(lake)[0] == "2"


def test_a_folder_that_is_not_complete_is_never_pointed_to(lake: Lake) -> None:
    with pytest.raises(NotPublished, match="sheets/1"):
        SHEETS.begin(lake).point_to("1")
    assert read_latest(lake.store, "sheets") is None


def test_faults_stop_a_run_with_all_of_them_and_the_advice(lake: Lake) -> None:
    run = SHEETS.begin(lake)
    run.gate([], "")
    with pytest.raises(GatesFailed, match=r"staged sheet failed its gates[\s\S]*- one\n  - two\ncorrect both"):
        run.gate(["one", "two"], "correct both")
