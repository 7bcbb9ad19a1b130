"""The journal keeps what was paid for, whatever happens to its files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.journal import (
    JournalError,
    ScopeJournal,
    decode_records,
    delete_journal,
    encode_record,
    file_header,
    scope_folder,
)
from resources.lake.store import LocalStore, StoredFile, StoreError, StoreUnreachable

SCOPE = "scenario_dialogues/debate|orca_math-0003"
RECORDS = st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.binary(max_size=200)), max_size=8)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def file_of(records: list[tuple[bytes, bytes]]) -> bytes:
    return file_header() + b"".join(encode_record(*record) for record in records)


def loaded(store: LocalStore, scope: str = SCOPE) -> ScopeJournal:
    journal = ScopeJournal(store, scope)
    journal.load()
    return journal


def only_file(store: LocalStore) -> StoredFile:
    (file,) = store.list("_journal")
    return file


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@given(RECORDS)
def test_what_is_written_is_read(records: list[tuple[bytes, bytes]]) -> None:
    assert list(decode_records(file_of(records))) == records


@given(RECORDS, st.data())
def test_a_torn_end_costs_the_last_record_alone(records: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    last = encode_record(key(1), b"the last answer")
    cut = data.draw(st.integers(min_value=1, max_value=len(last) - 1))
    assert list(decode_records(file_of(records) + last[:cut])) == [*records, None]


@given(RECORDS.filter(bool), st.data())
def test_a_flipped_byte_costs_one_record_at_most(records: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    damaged = bytearray(file_of(records))
    place = data.draw(st.integers(min_value=0, max_value=len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(min_value=1, max_value=255))
    read = list(decode_records(bytes(damaged)))
    sound = [record for record in read if record is not None]
    assert read.count(None) == 1
    assert len(sound) >= len(records) - 1
    assert all(record in records for record in sound)


def test_a_new_journal_finds_what_another_kept(store: LocalStore) -> None:
    first = loaded(store)
    first.append(key(1), b"answer")
    assert loaded(store).get(key(1)) == b"answer"


def test_the_files_of_all_writers_are_merged(store: LocalStore) -> None:
    for number in range(3):
        writer = loaded(store)
        writer.append(key(number), b"answer")
        writer.close()
    assert len(loaded(store)) == 3


def test_damage_is_counted_and_the_rest_kept(store: LocalStore, tmp_path: Path) -> None:
    writer = loaded(store)
    writer.append(key(1), b"one")
    writer.append(key(2), b"two")
    writer.close()
    path = tmp_path / only_file(store).path
    path.write_bytes(path.read_bytes().replace(b"one", b"0ne"))
    journal = loaded(store)
    assert (journal.damaged, journal.get(key(1)), journal.get(key(2))) == (1, None, b"two")


def test_a_newer_format_is_refused_with_what_to_do(store: LocalStore) -> None:
    store.put(f"{scope_folder(SCOPE)}/x.journal", file_header(version=2))
    with pytest.raises(JournalError, match=r"format 2, this version reads up to 1: use the newer version"):
        loaded(store)


def test_nothing_is_written_where_nothing_is_new(store: LocalStore) -> None:
    loaded(store).close()
    assert store.list("_journal") == []


def test_a_scope_does_not_see_the_scopes_below_it(store: LocalStore) -> None:
    below = loaded(store, "scenario_dialogues/debate|a/b")
    below.append(key(1), b"answer")
    assert len(loaded(store, "scenario_dialogues/debate|a")) == 0


def test_the_layout_follows_the_scope() -> None:
    assert scope_folder(SCOPE) == "_journal/scenario_dialogues/debate/orca_math-0003"


@pytest.mark.parametrize("scope", ["", "a//b", "a/../b", "a|.hidden", "/a"])
def test_a_scope_cannot_leave_its_folder(scope: str) -> None:
    with pytest.raises(ValueError, match="is not a scope"):
        scope_folder(scope)


def test_sweeping_deletes_the_scope_alone(store: LocalStore) -> None:
    for scope in (SCOPE, "scenario_dialogues/debate|orca_math-0004"):
        writer = loaded(store, scope)
        writer.append(key(1), b"answer")
        writer.close()
    assert delete_journal(store, SCOPE) == 1
    assert [file.path.split("/")[3] for file in store.list("_journal")] == ["orca_math-0004"]


def test_a_full_disk_leaves_whole_records_and_says_what_to_do(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = loaded(store)
    journal.append(key(1), b"one")
    write = os.write

    def fills_up(file: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(28, "No space left on device")
        return write(file, data[:20])

    monkeypatch.setattr(os, "write", fills_up)
    with pytest.raises(StoreError, match=r"No space left on device; make room"):
        journal.append(key(2), b"two" * 10)
    monkeypatch.undo()
    journal.append(key(3), b"three")
    again = loaded(store)
    assert (again.damaged, len(again), again.get(key(3))) == (0, 2, b"three")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk on which not a byte has room; the files that it was tried with."""
    tried = []

    def write(file: int, data: bytes) -> int:
        tried.append(file)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    return tried


def test_a_file_that_cannot_be_begun_leaves_nothing_behind(store: LocalStore, full_disk: list[int]) -> None:
    with pytest.raises(StoreError, match="No space left on device"):
        loaded(store).append(key(1), b"one")
    assert store.list("_journal") == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(full_disk[0])


def test_a_file_that_cannot_be_begun_is_not_tried_for_every_answer(store: LocalStore, full_disk: list[int]) -> None:
    journal = loaded(store)
    for number in range(3):
        with pytest.raises(StoreError, match="No space left on device"):
            journal.append(key(number), b"answer")
    assert len(full_disk) == 1


def test_a_journal_that_could_not_be_begun_says_so_before_more_is_paid(store: LocalStore, full_disk: list[int]) -> None:
    journal = loaded(store)
    with pytest.raises(StoreError):
        journal.append(key(1), b"one")
    with pytest.raises(StoreError, match="No space left on device; make room"):
        journal.check()


def test_a_journal_that_was_closed_begins_anew(
    store: LocalStore, full_disk: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = loaded(store)
    with pytest.raises(StoreError):
        journal.append(key(1), b"one")
    journal.close()
    monkeypatch.undo()
    journal.append(key(1), b"one")
    assert len(loaded(store)) == 1


class RemoteStore(LocalStore):
    """A store without a disk of its own, as S3 is; `down` makes it fail."""

    down = False
    fault: StoreError = StoreUnreachable("unreachable")
    puts = 0

    def local_path(self, path: str) -> None:
        return None

    def put(self, path: str, data: bytes) -> None:
        self.puts += 1
        if self.down:
            raise self.fault
        super().put(path, data)


def test_segments_go_up_when_flushed_and_at_the_end(tmp_path: Path) -> None:
    store = RemoteStore(tmp_path)
    journal = loaded(store)
    journal.append(key(1), b"one")
    assert len(loaded(store)) == 0
    journal.flush()
    assert len(loaded(store)) == 1
    journal.append(key(2), b"two")
    journal.close()
    assert len(loaded(store)) == 2
    assert len(store.list("_journal")) == 2


def test_a_segment_that_could_not_be_put_goes_up_with_the_next(tmp_path: Path) -> None:
    store = RemoteStore(tmp_path)
    journal = loaded(store)
    journal.append(key(1), b"one")
    store.down = True
    with pytest.raises(StoreError):
        journal.flush()
    store.down = False
    journal.append(key(2), b"two")
    journal.flush()
    assert len(loaded(store)) == 2


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteStore:
    """A store that is away for longer than is waited for."""
    monkeypatch.setattr("resources.chat.journal.OUTAGE_SECONDS", 0.0)
    store = RemoteStore(tmp_path)
    store.down = True
    return store


def tried_in_vain(store: RemoteStore) -> ScopeJournal:
    journal = loaded(store)
    journal.append(key(1), b"one")
    with pytest.raises(StoreError):
        journal.flush()
    return journal


def test_appending_never_tries_the_store(away: RemoteStore) -> None:
    journal = tried_in_vain(away)
    with pytest.raises(StoreUnreachable):
        journal.append(key(2), b"two")
    assert away.puts == 1


def test_a_long_outage_is_told_before_more_is_paid(away: RemoteStore) -> None:
    with pytest.raises(StoreUnreachable, match=r"no more are paid for \(unreachable\); run the same command again"):
        tried_in_vain(away).check()


def test_a_store_that_hangs_is_an_outage_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.chat.journal.OUTAGE_SECONDS", 0.0)

    class Hangs(RemoteStore):
        def put(self, path: str, data: bytes) -> None:
            with pytest.raises(StoreUnreachable, match="the store does not answer"):
                journal.check()

    journal = loaded(Hangs(tmp_path))
    journal.append(key(1), b"one")
    journal.flush()


def test_a_store_that_refuses_is_not_told_as_away(away: RemoteStore) -> None:
    away.fault = StoreError("no permission")
    with pytest.raises(StoreError, match="no permission") as raised:
        tried_in_vain(away).check()
    assert not isinstance(raised.value, StoreUnreachable)


def test_what_was_answered_after_the_limit_goes_up_if_the_store_is_back_at_the_end(away: RemoteStore) -> None:
    journal = tried_in_vain(away)
    with pytest.raises(StoreUnreachable):
        journal.append(key(2), b"two")
    away.down = False
    journal.close()
    assert len(loaded(away)) == 2
