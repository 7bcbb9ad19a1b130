"""The journal keeps what was paid for, whatever happens to its files."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.journal import ScopeJournal, delete_journal, scope_folder
from resources.chat.journal_format import JournalError, decode_file, encode_line
from resources.lake.store import LocalStore, StoredFile, StoreError, StoreUnreachable

SCOPE = "scenario_dialogues/debate|orca_math-0003"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
COMPLETIONS = TEXTS.map(lambda text: json.dumps({"text": text}, ensure_ascii=False).encode())
RECORDS = st.lists(st.tuples(st.binary(min_size=32, max_size=32), COMPLETIONS), max_size=8)
Records = list[tuple[bytes, bytes]]


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def binary_record(key: bytes, completion: bytes) -> bytes:
    """A record as earlier versions wrote it."""
    payload = key + completion
    length = len(payload).to_bytes(4, "big")
    return b"\xf5\xc3RJ" + length + crc32(length + payload).to_bytes(4, "big") + payload


HEADER = b"MJOURNAL\x00\x01\xc9\x88O\x10"
FORMATS = pytest.mark.parametrize(
    ("name", "header", "encode"), [("x.jsonl", b"", encode_line), ("x.journal", HEADER, binary_record)]
)


def file_of(records: Records, header: bytes, encode: Callable[[bytes, bytes], bytes]) -> bytes:
    return header + b"".join(encode(*record) for record in records)


def loaded(store: LocalStore, scope: str = SCOPE, **options: float) -> ScopeJournal:
    journal = ScopeJournal(store, scope, **options)
    journal.load()
    return journal


def only_file(store: LocalStore) -> StoredFile:
    (file,) = store.list("_journal")
    return file


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


# ---- the files


@FORMATS
@given(records=RECORDS)
def test_every_record_is_read(name: str, header: bytes, encode: Callable[..., bytes], records: Records) -> None:
    assert list(decode_file(name, file_of(records, header, encode))) == records


@FORMATS
@given(records=RECORDS, data=st.data())
def test_a_torn_end_costs_the_last_record_alone(
    name: str, header: bytes, encode: Callable[..., bytes], records: Records, data: st.DataObject
) -> None:
    last = encode(key(1), b'{"text": "the last answer"}').rstrip(b"\n")
    torn = last[: data.draw(st.integers(min_value=1, max_value=len(last) - 1))]
    assert list(decode_file(name, file_of(records, header, encode) + torn)) == [*records, None]


@FORMATS
@given(records=RECORDS.filter(bool), data=st.data())
def test_a_changed_byte_costs_the_records_that_it_touches(
    name: str, header: bytes, encode: Callable[..., bytes], records: Records, data: st.DataObject
) -> None:
    damaged = bytearray(file_of(records, header, encode))
    place = data.draw(st.integers(min_value=0, max_value=len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(min_value=1, max_value=255))
    read = list(decode_file(name, bytes(damaged)))
    sound = [record for record in read if record is not None]
    assert None in read or damaged.endswith(b"}\n\n")
    assert len(sound) >= len(records) - (2 if name.endswith("jsonl") else 1)  # a line break separates two lines
    assert all(record in records for record in sound)


def test_jq_and_grep_read_the_file(store: LocalStore, tmp_path: Path) -> None:
    journal = loaded(store)
    journal.append(key(1), '{"text":"vierzig\u2028und zwei"}'.encode())
    journal.append(key(2), b'{"text":"seven"}')
    path = tmp_path / only_file(store).path
    assert [json.loads(line)["completion"]["text"] for line in path.read_text().split("\n")[:-1]] == [
        "vierzig\u2028und zwei",
        "seven",
    ]
    found = subprocess.run(["grep", "-c", "seven", path], check=True, stdout=subprocess.PIPE, text=True)
    assert found.stdout == "1\n"


def test_files_of_earlier_versions_are_read_and_new_ones_written_beside_them(store: LocalStore) -> None:
    store.put(f"{scope_folder(SCOPE)}/20261128T100000-00000000.journal", HEADER + binary_record(key(1), b"{}"))
    journal = loaded(store)
    journal.append(key(2), b"{}")
    journal.close()
    assert {Path(file.path).suffix for file in store.list("_journal")} == {".journal", ".jsonl"}
    assert len(loaded(store)) == 2
    assert delete_journal(store, SCOPE) == 2


def test_files_of_other_programs_are_left_alone(store: LocalStore) -> None:
    store.put(f"{scope_folder(SCOPE)}/Thumbs.db", b"\x00")
    assert len(loaded(store)) == 0
    assert delete_journal(store, SCOPE) == 0


def test_an_unknown_format_is_refused_with_what_to_do(store: LocalStore) -> None:
    store.put(f"{scope_folder(SCOPE)}/x.jsonl3", b"")
    with pytest.raises(JournalError, match=r"x\.jsonl3 has a journal format .* use the newer version, or delete"):
        loaded(store)


@pytest.mark.parametrize(
    ("scope", "folder"),
    [
        (SCOPE, "_journal/scenario_dialogues/debate/orca_math-0003"),
        *((scope, None) for scope in ["", "a//b", "a/../b", "a|.hidden", "/a"]),
    ],
)
def test_a_scope_has_a_folder_of_its_own_below_the_journals(scope: str, folder: str | None) -> None:
    if folder:
        assert scope_folder(scope) == folder
    else:
        with pytest.raises(ValueError, match="is not a scope"):
            scope_folder(scope)


# ---- one scope


def test_the_files_of_all_writers_are_merged(store: LocalStore) -> None:
    for number in range(3):
        journal = loaded(store)
        journal.append(key(number), b"{}")
        assert loaded(store).get(key(number)) == b"{}"  # before it is closed
        journal.close()
    assert len(loaded(store)) == 3


def test_damaged_lines_are_counted_and_the_others_read(store: LocalStore, tmp_path: Path) -> None:
    journal = loaded(store)
    for number, text in enumerate((b'"one"', b'"two"')):
        journal.append(key(number), text)
    path = tmp_path / only_file(store).path
    path.write_bytes(path.read_bytes().replace(b"one", b"0ne"))
    journal = loaded(store)
    assert (journal.damaged, journal.get(key(0)), journal.get(key(1))) == (1, None, b'"two"')


def test_nothing_is_written_where_nothing_is_new(store: LocalStore) -> None:
    loaded(store).close()
    assert store.list("_journal") == []


def test_a_scope_does_not_see_the_scopes_below_it(store: LocalStore) -> None:
    loaded(store, "scenario_dialogues/debate|a/b").append(key(1), b"{}")
    assert len(loaded(store, "scenario_dialogues/debate|a")) == 0


def test_only_the_journal_of_the_scope_is_deleted(store: LocalStore) -> None:
    for scope in (SCOPE, "scenario_dialogues/debate|orca_math-0004"):
        loaded(store, scope).append(key(1), b"{}")
    assert delete_journal(store, SCOPE) == 1
    assert [file.path.split("/")[3] for file in store.list("_journal")] == ["orca_math-0004"]


# ---- a full disk


def test_a_disk_that_fills_up_leaves_whole_lines(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = loaded(store)
    journal.append(key(1), b'"one"')
    write = os.write

    def fills_up(file: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(file, data[:20])

    monkeypatch.setattr(os, "write", fills_up)
    with pytest.raises(StoreError, match=r"No space left on device; make room"):
        journal.append(key(2), b'"two"')
    monkeypatch.undo()
    journal.append(key(3), b'"three"')
    again = loaded(store)
    assert (again.damaged, len(again), again.get(key(3))) == (0, 2, b'"three"')


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk without a free byte; the files that were tried."""
    tried = []

    def write(file: int, data: bytes) -> int:
        tried.append(file)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    return tried


def test_a_full_disk_is_tried_once_and_reported_before_more_is_paid(
    store: LocalStore, full_disk: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = loaded(store)
    for number in range(3):
        with pytest.raises(StoreError, match="No space left on device; make room"):
            journal.append(key(number), b"{}")
    with pytest.raises(StoreError, match="No space left on device; make room"):
        journal.check()
    assert len(full_disk) == 1
    assert store.list("_journal") == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(full_disk[0])
    journal.close()
    monkeypatch.undo()
    journal.append(key(1), b"{}")
    assert len(loaded(store)) == 1


# ---- a remote store


class RemoteStore(LocalStore):
    """A store without a disk of its own, as S3 is; `failure` makes it fail."""

    failure: StoreError | None = None
    puts = 0

    def local_path(self, path: str) -> None:
        return None

    def put(self, path: str, data: bytes) -> None:
        self.puts += 1
        if self.failure:
            raise self.failure
        super().put(path, data)


@pytest.fixture
def remote(tmp_path: Path) -> RemoteStore:
    return RemoteStore(tmp_path)


def failed_once(store: RemoteStore, failure: StoreError) -> ScopeJournal:
    """A journal with one record, whose segment could not be put; it allows for no outage."""
    journal = loaded(store, outage_seconds=0.0)
    journal.append(key(1), b"{}")
    store.failure = failure
    with pytest.raises(StoreError):
        journal.flush()
    return journal


def test_segments_go_up_when_flushed_and_at_the_end(remote: RemoteStore) -> None:
    journal = loaded(remote)
    for number, save in ((1, journal.flush), (2, journal.close)):
        journal.append(key(number), b"{}")
        assert len(loaded(remote)) == number - 1
        save()
        assert len(loaded(remote)) == number
    assert len(remote.list("_journal")) == 2


def test_a_segment_that_could_not_be_put_goes_up_with_the_next(remote: RemoteStore) -> None:
    journal = failed_once(remote, StoreUnreachable("unreachable"))
    with pytest.raises(StoreUnreachable):
        journal.append(key(2), b"{}")
    assert remote.puts == 1  # `append` never tries the store
    remote.failure = None
    journal.close()
    assert len(loaded(remote)) == 2


@pytest.mark.parametrize("failure", [StoreUnreachable("unreachable"), StoreError("no permission")])
def test_a_long_outage_is_reported_before_more_is_paid(remote: RemoteStore, failure: StoreError) -> None:
    journal = failed_once(remote, failure)
    with pytest.raises(StoreError, match=rf"no more are paid for \({failure}\); run the same command again") as raised:
        journal.check()
    assert type(raised.value) is type(failure)


def test_a_store_that_hangs_is_an_outage_too(tmp_path: Path) -> None:
    class HangingStore(RemoteStore):
        def put(self, path: str, data: bytes) -> None:
            with pytest.raises(StoreUnreachable, match="the store does not answer"):
                journal.check()

    journal = loaded(HangingStore(tmp_path), outage_seconds=0.0)
    journal.append(key(1), b"{}")
    journal.flush()
