"""Folders that never change after they are published, and the pointer to the latest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from resources.lake.opening import open_store
from resources.lake.published_folders import MANIFEST, Overtaken, copy_verified, move_latest, publish, read_latest
from resources.lake.store import LocalStore, StoreError
from tests.s3_proxy import S3Proxy

SHA256_OF_A = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
MINE, OTHER = {"id": "mine"}, {"id": "other"}


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    folder.mkdir()
    (folder / "a.txt").write_text("a", encoding="utf-8")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "lake")


def test_the_manifest_names_every_file(staged: Path, store: LocalStore) -> None:
    manifest = publish(store, staged, "releases/1", {"id": "1"})
    assert manifest["files"] == [{"path": "a.txt", "bytes": 1, "sha256": SHA256_OF_A}]
    assert json.loads(store.get(f"releases/1/{MANIFEST}")) == manifest


def test_a_complete_folder_is_never_written_again(staged: Path, store: LocalStore) -> None:
    first = publish(store, staged, "releases/1", {"id": "1"})
    (staged / "a.txt").write_text("b", encoding="utf-8")
    assert publish(store, staged, "releases/1", {"id": "1"}) == first
    assert store.get("releases/1/a.txt") == b"a"


@pytest.mark.parametrize(("unhashed", "left"), [((), b"a"), (("a.txt",), b"old")])
def test_of_a_folder_without_manifest_only_files_that_the_id_does_not_cover_stay(
    staged: Path, store: LocalStore, unhashed: tuple[str, ...], left: bytes
) -> None:
    store.put("releases/1/a.txt", b"old")
    (file,) = publish(store, staged, "releases/1", {"id": "1"}, unhashed)["files"]
    assert store.get("releases/1/a.txt") == left
    assert (file["bytes"], file["sha256"] == SHA256_OF_A) == (len(left), left == b"a")


class Raced(LocalStore):
    """A store where a faster run completes the same folder after this run has looked for its manifest."""

    def exists(self, path: str) -> bool:
        self.put("releases/1/a.txt", b"theirs")
        self.put(f"releases/1/{MANIFEST}", b'{"id": "1", "by": "them"}')
        return False


def test_the_run_that_is_second_returns_the_manifest_of_the_first(staged: Path, tmp_path: Path) -> None:
    store = Raced(tmp_path / "lake")
    assert publish(store, staged, "releases/1", {"id": "1", "by": "me"}, ("a.txt",)) == {"id": "1", "by": "them"}
    assert store.get("releases/1/a.txt") == b"theirs"


class Contended(LocalStore):
    """A store where another run moves the pointer between our read and our write."""

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        self.put(path, json.dumps(OTHER).encode())
        return super().replace_if_unchanged(path, data, version)


class Refusing(LocalStore):
    """A store that never accepts a conditional write."""

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        return False


@pytest.mark.parametrize(
    ("kind", "now", "start"),
    [(LocalStore, OTHER, None), (LocalStore, OTHER, {"id": "before"}), (Contended, None, None)],
)
def test_a_pointer_that_another_run_moved_is_not_replaced(
    tmp_path: Path, kind: type[LocalStore], now: Mapping[str, Any] | None, start: Mapping[str, Any] | None
) -> None:
    store = kind(tmp_path)
    if now:
        store.put("home/latest.json", json.dumps(now).encode())
    with pytest.raises(Overtaken, match=r"another run published other meanwhile[\s\S]*materialise home again"):
        move_latest(store, "home", MINE, start)
    assert read_latest(store, "home") == OTHER


def test_a_pointer_that_cannot_be_replaced_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"latest\.json could not be replaced"):
        move_latest(Refusing(tmp_path), "home", MINE, None)


def test_a_pointer_moves_from_what_it_was_at_the_start_and_is_written_once(store: LocalStore) -> None:
    assert move_latest(store, "home", OTHER, None)
    assert move_latest(store, "home", MINE, OTHER)
    assert not move_latest(store, "home", MINE, OTHER)
    assert read_latest(store, "home") == MINE


def test_a_copy_is_read_from_s3_in_large_pieces_and_a_damaged_one_leaves_no_file(
    s3_root: str, s3_proxy: S3Proxy, tmp_path: Path
) -> None:
    store = open_store(s3_root)
    (tmp_path / "staged/adapter").mkdir(parents=True)
    (tmp_path / "staged/adapter/weights").write_bytes(bytes(1_000_000))
    publish(store, tmp_path / "staged", "home/1", {})
    s3_proxy.calls.clear()
    copy_verified(store, "home/1", "adapter", tmp_path / "copy")
    assert (tmp_path / "copy/weights").read_bytes() == bytes(1_000_000)
    assert s3_proxy.names().count("GetObject") == 3  # the manifest, the end of the file, the file
    store.put("home/1/adapter/weights", b"other")
    with pytest.raises(ValueError, match=r"home/1/adapter/weights is damaged"):
        copy_verified(store, "home/1", "adapter", tmp_path / "second")
    assert list((tmp_path / "second").iterdir()) == []
