"""An S3 store as DuckDB sees it."""

import pytest

from resources.lake.duckdb_files import StoreFileSystem
from resources.lake.s3 import S3Store
from resources.lake.store import StoreError
from tests.s3_proxy import S3Proxy


@pytest.fixture
def store(s3_root: str, s3_proxy: S3Proxy) -> S3Store:
    """Three small files, of which the file system keeps one tail in memory."""
    store = S3Store(s3_root)
    for name in "abc":
        store.put(name, f"first of {name}".encode())
    return store


@pytest.fixture
def files(store: S3Store) -> StoreFileSystem:
    return StoreFileSystem(store.open, store.root, tails=1)


def test_a_file_is_never_read_in_two_versions_however_many_were_opened_since(
    store: S3Store, files: StoreFileSystem
) -> None:
    for name in "abc":
        files.open(store.uri(name))
    store.put("a", b"second")
    with pytest.raises(StoreError, match="was replaced while it was read"):
        files.open(store.uri("a"))


def test_a_tail_that_was_dropped_is_fetched_again(store: S3Store, files: StoreFileSystem) -> None:
    for name in "abca":
        assert files.open(store.uri(name)).read() == f"first of {name}".encode()


def test_a_file_that_was_opened_just_before_is_not_requested_again(
    store: S3Store, files: StoreFileSystem, s3_proxy: S3Proxy
) -> None:
    for _ in range(3):
        files.open(store.uri("a")).read()
    assert s3_proxy.names().count("GetObject") == 1


def test_an_empty_file_is_read(store: S3Store, files: StoreFileSystem) -> None:
    store.put("empty", b"")
    for name in ("empty", "a", "empty"):
        files.open(store.uri(name))
    assert files.open(store.uri("empty")).read() == b""
