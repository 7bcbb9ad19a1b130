"""What counts as a change of a source, without reading it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.intake import take_in
from assets.seeds.listing import source_listing, why_changed
from assets.seeds.rows import SeedsError
from resources.lake.opening import open_store
from resources.lake.tables import Lake
from tests.hub_server import HubServer

from .conftest import Configure, WriteRows

ROWS = [{"question": f"What is {number} plus {number}?", "answer": f"#### {2 * number}"} for number in range(3)]


def listing_of(configuration: SeedsConfiguration) -> str | None:
    return source_listing(configuration.source("sums"), configuration)


def append(folder: Path) -> None:
    with (folder / "sums.jsonl").open("a") as file:
        file.write('{"question": "half')


def replace_with_as_long(folder: Path) -> None:
    path = folder / "sums.jsonl"
    text, before = path.read_text(), path.stat().st_mtime_ns
    path.write_text(text.replace("plus", "less"))
    if path.stat().st_mtime_ns == before:  # a coarse clock of the file system
        raise AssertionError


def add_file(folder: Path) -> None:
    (folder / "sums_2.jsonl").write_text("{}\n")


def add_other_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("nothing")


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (append, True),
        (replace_with_as_long, True),
        (add_file, True),
        (add_other_file, False),
        (lambda folder: None, False),
    ],
)
@pytest.mark.parametrize("source", [{"files": ["sums*.jsonl"]}, {"hub": {"id": "./"}}])
def test_files_change_by_name_size_and_time(
    tmp_path: Path,
    configure: Configure,
    write_rows: WriteRows,
    source: dict[str, Any],
    change: Callable[[Path], None],
    changed: bool,
) -> None:
    write_rows(ROWS)
    before = listing_of(configure(source))
    change(tmp_path)
    of_all_files = "hub" in source and change is add_other_file  # any file of a folder is a part of its dataset
    assert (listing_of(configure(source)) != before) is (changed or of_all_files)


def test_files_on_s3_change(s3_root: str, configure: Configure) -> None:
    store = open_store(s3_root)
    configuration = configure({"files": [f"{s3_root}/*.jsonl"]})
    store.put("sums.jsonl", b'{"question": "1"}\n')
    before = listing_of(configuration)
    assert listing_of(configuration) == before
    store.put("sums.jsonl", b'{"question": "2"}\n')
    assert listing_of(configuration) != before


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_writes_here")
    yield server
    server.stop()


def test_a_hub_dataset_changes_with_its_commit(hub_server: HubServer, configure: Configure) -> None:
    repository = hub_server.create("dataset", "team/sums")
    configuration = configure({"hub": {"id": "team/sums"}})
    before = listing_of(configuration)
    assert listing_of(configuration) == before
    repository.commit("more rows", {})
    assert listing_of(configuration) != before


@pytest.mark.parametrize(
    "source", [{"files": ["absent.jsonl"]}, {"files": ["s3://absent-bucket/x.jsonl"]}, {"hub": {"id": "team/absent"}}]
)
def test_a_source_that_cannot_be_listed_is_an_error(
    hub_server: HubServer, s3_root: str, configure: Configure, source: dict[str, Any]
) -> None:
    with pytest.raises(SeedsError, match="absent"):
        listing_of(configure(source))


def test_a_source_is_due_until_its_present_files_are_read(
    lake: Lake, configure: Configure, write_rows: WriteRows
) -> None:
    write_rows(ROWS)
    configuration, reasons = configure(), list[str | None]()

    def look() -> None:
        reasons.append(why_changed(lake, "sums", listing_of(configuration)))

    look()
    take_in(lake, configuration, "sums")
    look()
    write_rows([*ROWS, {"question": "What is 9 plus 9?", "answer": "#### 18"}])
    look()
    take_in(lake, configuration, "sums")
    look()
    assert reasons == ["never read", None, "changed since its last reading", None]
