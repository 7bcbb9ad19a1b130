import io
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.lake.opening import open_store
from resources.lake.ranged_file import RangedFile
from resources.lake.store import LocalStore, Store, StoreError


def test_what_was_put_is_got(store: Store) -> None:
    store.put("a/b.txt", b"one")
    store.put("a/b.txt", b"two")
    assert store.get("a/b.txt") == b"two"


def test_a_file_of_this_machine_is_put_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "staged").write_bytes(b"rows")
    store.put_file("a/b.parquet", tmp_path / "staged")
    assert store.get("a/b.parquet") == b"rows"


def test_a_missing_file_is_not_found(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.get("none")
    assert not store.exists("none")


def test_the_tail_of_a_file_is_got_and_all_of_a_shorter_one(store: Store) -> None:
    store.put("x", b"0123456789")
    store.put("empty", b"")
    assert [store.get_tail("x", length) for length in (3, 100)] == [b"789", b"0123456789"]
    assert store.get_tail("empty", 3) == b""


def test_an_empty_file_is_there(store: Store) -> None:
    store.put("empty", b"")
    assert store.exists("empty")
    with store.open("empty") as file:
        assert file.read() == b""


def test_a_file_is_read_at_any_place(store: Store) -> None:
    store.put("x", b"0123456789")
    with store.open("x") as file:
        file.seek(4)
        assert (file.read(3), file.tell(), file.read()) == (b"456", 7, b"789")
        assert file.seek(-2, os.SEEK_END) == 8
        assert file.read(10) == b"89"


@given(
    data=st.binary(max_size=300),
    tail=st.integers(0, 300),
    reads=st.lists(st.tuples(st.integers(0, 300), st.integers(-1, 300))),
)
def test_a_file_in_pieces_reads_like_one_in_memory(data: bytes, tail: int, reads: list[tuple[int, int]]) -> None:
    pieces = RangedFile(lambda start, end: data[start:end], len(data), data[max(0, len(data) - tail) :], ahead=16)
    whole = io.BytesIO(data)
    for place, length in reads:
        assert pieces.seek(place) == whole.seek(place)
        assert pieces.read(length) == whole.read(length)


def test_a_missing_file_cannot_be_opened(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.open("none")
    with pytest.raises(FileNotFoundError):
        store.get_tail("none", 8)


def test_only_the_first_put_if_absent_writes(store: Store) -> None:
    assert store.put_if_absent("once", b"first")
    assert not store.put_if_absent("once", b"second")
    assert store.get("once") == b"first"


def test_a_replacement_needs_the_version_that_is_there(store: Store) -> None:
    assert store.replace_if_unchanged("latest", b"1", None)
    _, version = store.get_with_version("latest")
    assert store.replace_if_unchanged("latest", b"2", version)
    assert not store.replace_if_unchanged("latest", b"3", version)
    assert not store.replace_if_unchanged("latest", b"4", None)
    assert store.get("latest") == b"2"


def test_a_folder_is_listed_and_nothing_beside_it(store: Store) -> None:
    for path in ("t/x=1/part", "t/x=2/part", "t2/part"):
        store.put(path, b"rows")
    assert [(file.path, file.size) for file in store.list("t")] == [("t/x=1/part", 4), ("t/x=2/part", 4)]
    assert store.list("none") == []


def test_a_deleted_file_is_gone_and_deleting_twice_is_harmless(store: Store) -> None:
    store.put("x", b"")
    store.delete("x")
    store.delete("x")
    assert not store.exists("x")


def test_of_many_concurrent_first_writers_one_wins(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    wins: list[bool] = []
    writers = [
        threading.Thread(target=lambda n=n: wins.append(store.put_if_absent("once", str(n).encode()))) for n in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(wins) == [False] * 7 + [True]


def test_an_unfinished_file_is_never_listed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("t/part", b"rows")
    (tmp_path / "t" / ".part.unfinished").write_bytes(b"ro")
    assert [file.path for file in store.list("t")] == ["t/part"]


def test_temporary_files_of_dead_writers_are_swept_by_age(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("t/part.parquet", b"rows")
    for name in ("t/.part.parquet.ab12_x9z", "t/.hidden", ".locks/0123"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"ro")
    now = datetime.now(UTC)
    assert store.delete_unfinished(now - timedelta(hours=1)) == []
    assert store.delete_unfinished(now + timedelta(hours=1), dry_run=True) == ["t/.part.parquet.ab12_x9z"]
    assert store.delete_unfinished(now + timedelta(hours=1)) == ["t/.part.parquet.ab12_x9z"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".hidden", "0123", "part.parquet"]


def test_what_a_writer_stages_would_be_swept(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with store._staged("t/part.parquet", io.BytesIO(b"rows")):
        assert len(store.delete_unfinished(datetime.now(UTC) + timedelta(hours=1), dry_run=True)) == 1


def test_an_unwritable_place_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*file/x.*MASTER_LAKE_ROOT"):
        LocalStore(tmp_path / "file").put("x", b"")


def test_a_missing_bucket_is_named_with_what_to_do(s3_root: str) -> None:
    with pytest.raises(StoreError, match=r"NoSuchBucket: .*; create the bucket"):
        open_store("s3://no-such-bucket/lake").put("x", b"")


def test_a_missing_bucket_is_named_when_a_file_is_put(s3_root: str, tmp_path: Path) -> None:
    (tmp_path / "staged").touch()
    with pytest.raises(StoreError, match=r"NoSuchBucket: .*; create the bucket"):
        open_store("s3://no-such-bucket/lake").put_file("x", tmp_path / "staged")


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(StoreError, match="s3://bucket/prefix"):
        open_store("s3:///lake")


def test_a_page_is_stored_as_one_that_browsers_show(s3_root: str) -> None:
    store = open_store(s3_root)
    store.put("browser/index.html", b"<!doctype html>")
    client = boto3.client("s3")
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")
    assert client.head_object(Bucket=bucket, Key=f"{prefix}/browser/index.html")["ContentType"] == "text/html"
