"""The operations of a store, on local disk and on S3."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.lake.opening import open_store
from resources.lake.ranged_file import RangedFile
from resources.lake.store import LocalStore, Store, StoreError


def test_a_file_is_written_whole_and_replaced_whole(store: Store, tmp_path: Path) -> None:
    store.put("a/b.txt", b"one")
    store.put("a/b.txt", b"two")
    assert store.get("a/b.txt") == b"two"
    (tmp_path / "local").write_bytes(b"rows")
    store.put_file("a/b.txt", tmp_path / "local")
    assert store.get("a/b.txt") == b"rows"


def test_a_missing_file_is_not_found(store: Store) -> None:
    assert not store.exists("none")
    for read in (store.get, store.get_with_version, store.open):
        with pytest.raises(FileNotFoundError):
            read("none")


def test_a_file_is_read_from_any_position(store: Store) -> None:
    store.put("x", b"0123456789")
    with store.open("x") as file:
        file.seek(4)
        assert (file.read(3), file.tell(), file.read()) == (b"456", 7, b"789")
        assert file.seek(-2, os.SEEK_END) == 8
        assert file.read(10) == b"89"


def test_an_empty_file_exists_and_has_no_bytes(store: Store) -> None:
    store.put("empty", b"")
    assert store.exists("empty")
    with store.open("empty") as file:
        assert file.read() == b""


@given(
    data=st.binary(max_size=300),
    tail=st.integers(0, 300),
    reads=st.lists(st.tuples(st.integers(0, 300), st.integers(-1, 300))),
)
def test_a_ranged_file_reads_like_one_in_memory(data: bytes, tail: int, reads: list[tuple[int, int]]) -> None:
    ranged = RangedFile(lambda start, end: data[start:end], len(data), data[max(0, len(data) - tail) :], ahead=16)
    whole = io.BytesIO(data)
    for position, length in reads:
        assert ranged.seek(position) == whole.seek(position)
        assert ranged.read(length) == whole.read(length)


def test_of_several_first_writers_one_writes(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: store.put_if_absent("once", str(number).encode()), range(8)))
    assert written.count(True) == 1
    assert store.get("once") == str(written.index(True)).encode()


def test_a_replacement_needs_the_present_version(store: Store) -> None:
    assert store.replace_if_unchanged("latest", b"1", None)
    _, version = store.get_with_version("latest")
    assert store.replace_if_unchanged("latest", b"2", version)
    assert not store.replace_if_unchanged("latest", b"3", version)
    assert not store.replace_if_unchanged("latest", b"4", None)
    assert store.get("latest") == b"2"


def test_a_listing_holds_the_files_of_a_folder_and_no_others(store: Store) -> None:
    for path in ("t/x=1/part", "t/x=2/part", "t2/part"):
        store.put(path, b"rows")
    assert [(file.path, file.size) for file in store.list("t")] == [("t/x=1/part", 4), ("t/x=2/part", 4)]
    assert store.list("none") == []


def test_a_file_may_be_deleted_twice(store: Store) -> None:
    store.put("x", b"")
    store.delete("x")
    store.delete("x")
    assert not store.exists("x")


def test_temporary_files_are_not_listed_and_deleted_by_age(tmp_path: Path) -> None:
    store, later = LocalStore(tmp_path), datetime.now(UTC) + timedelta(hours=1)
    store.put("t/part.parquet", b"rows")
    for name in ("t/.part.parquet.ab12_x9z", "t/.hidden", ".locks/0123"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"ro")
    assert [file.path for file in store.list("")] == ["t/part.parquet"]
    assert store.delete_unfinished(later - timedelta(hours=2)) == []
    assert store.delete_unfinished(later, dry_run=True) == ["t/.part.parquet.ab12_x9z"]
    assert store.delete_unfinished(later) == ["t/.part.parquet.ab12_x9z"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".hidden", "0123", "part.parquet"]
    with store._staged("t/part.parquet", io.BytesIO(b"rows")):  # the name that a writer gives to such a file
        assert len(store.delete_unfinished(later, dry_run=True)) == 1


def test_a_folder_that_cannot_be_written_is_reported_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*file/x.*MASTER_LAKE_ROOT"):
        LocalStore(tmp_path / "file").put("x", b"")


def test_a_missing_bucket_is_reported_with_what_to_do(s3_root: str, tmp_path: Path) -> None:
    store = open_store("s3://no-such-bucket/lake")
    (tmp_path / "file").touch()
    for write in (lambda: store.put("x", b""), lambda: store.put_file("x", tmp_path / "file")):
        with pytest.raises(StoreError, match=r"NoSuchBucket: .*; create the bucket"):
            write()


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(StoreError, match="s3://bucket/prefix"):
        open_store("s3:///lake")


def test_a_page_on_s3_has_the_content_type_by_which_browsers_show_it(s3_root: str) -> None:
    open_store(s3_root).put("browser/index.html", b"<!doctype html>")
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")
    head = boto3.client("s3").head_object(Bucket=bucket, Key=f"{prefix}/browser/index.html")
    assert head["ContentType"] == "text/html"
