"""Folders that never change once they are there, and the pointer to the latest."""

import json
from pathlib import Path

import pytest

from resources.lake.published_folders import MANIFEST, Overtaken, move_latest, publish, read_latest
from resources.lake.store import LocalStore, StoreError


def test_the_manifest_names_every_file_and_is_written_last(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "a.txt").write_text("a", encoding="utf-8")
    store = LocalStore(tmp_path / "lake")
    manifest = publish(store, staged, "releases/1", {"id": "1"})
    sha256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert manifest["files"] == [{"path": "a.txt", "bytes": 1, "sha256": sha256}]
    assert json.loads(store.get(f"releases/1/{MANIFEST}")) == manifest


def test_a_complete_folder_is_never_written_again(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "a.txt").write_text("a", encoding="utf-8")
    store = LocalStore(tmp_path / "lake")
    first = publish(store, staged, "releases/1", {"id": "1"})
    (staged / "a.txt").write_text("b", encoding="utf-8")
    assert publish(store, staged, "releases/1", {"id": "1"}) == first
    assert store.get("releases/1/a.txt") == b"a"


def test_a_folder_that_a_killed_run_left_without_manifest_is_written_whole(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "a.txt").write_text("whole", encoding="utf-8")
    store = LocalStore(tmp_path / "lake")
    store.put("releases/1/a.txt", b"wh")
    publish(store, staged, "releases/1", {"id": "1"})
    assert store.get("releases/1/a.txt") == b"whole"


def test_a_card_that_another_run_wrote_stays_and_the_manifest_lists_it(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "README.md").write_text("b", encoding="utf-8")
    store = LocalStore(tmp_path / "lake")
    store.put("releases/1/README.md", b"a")
    (file,) = publish(store, staged, "releases/1", {"id": "1"}, ("README.md",))["files"]
    assert store.get("releases/1/README.md") == b"a"
    assert file["sha256"] == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


class Raced(LocalStore):
    """A store where a faster run completes the same release after this one has looked for its manifest."""

    def exists(self, path: str) -> bool:
        self.put("releases/1/README.md", b"theirs")
        self.put(f"releases/1/{MANIFEST}", b'{"id": "1", "by": "them"}')
        return False


def test_who_loses_the_manifest_returns_the_winners_and_leaves_its_card(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "README.md").write_text("mine", encoding="utf-8")
    store = Raced(tmp_path / "lake")
    assert publish(store, staged, "releases/1", {"id": "1", "by": "me"}, ("README.md",)) == {"id": "1", "by": "them"}
    assert store.get("releases/1/README.md") == b"theirs"


MINE, OTHER = {"id": "mine"}, {"id": "other"}


class Contended(LocalStore):
    """A store where somebody else moves the pointer between our read and our write."""

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        self.put(path, json.dumps(OTHER).encode())
        return super().replace_if_unchanged(path, data, version)


class Refusing(LocalStore):
    """A store that never takes a conditional write."""

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        return False


@pytest.mark.parametrize("start", [None, {"id": "before"}])
def test_a_pointer_that_another_run_moved_since_is_left_alone(tmp_path: Path, start: dict[str, str] | None) -> None:
    store = LocalStore(tmp_path)
    store.put("home/latest.json", json.dumps(OTHER).encode())
    with pytest.raises(Overtaken, match=r"another run published other meanwhile[\s\S]*materialise home again"):
        move_latest(store, "home", MINE, start)
    assert read_latest(store, "home") == OTHER


def test_a_pointer_that_another_run_moves_at_the_last_moment_is_left_alone(tmp_path: Path) -> None:
    store = Contended(tmp_path)
    with pytest.raises(Overtaken, match="another run published other"):
        move_latest(store, "home", MINE, None)
    assert read_latest(store, "home") == OTHER


def test_a_pointer_that_cannot_be_replaced_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"latest\.json could not be replaced"):
        move_latest(Refusing(tmp_path), "home", MINE, None)


def test_a_pointer_moves_from_where_it_was(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert move_latest(store, "home", OTHER, None)
    assert move_latest(store, "home", MINE, OTHER)
    assert read_latest(store, "home") == MINE


def test_a_pointer_that_is_right_is_not_written(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    move_latest(store, "home", MINE, None)
    assert not move_latest(store, "home", MINE, None)
