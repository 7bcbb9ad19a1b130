import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets.boost_qa.files import (
    MANIFEST,
    dataset_info,
    digest_of,
    move_latest,
    publish,
    read_lines,
    read_splits,
    write_splits,
)
from resources.store import LocalStore, StoreError


def rows(count: int, split: str = "train") -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "id": f"{split}{number}",
            "conversations": [{"from": "human", "value": f"1+{number}?"}, {"from": "gpt", "value": str(number + 1)}],
            "system": "",
            "trains": [False, True],
            "scenario": "debate",
            "source": "sums",
            "domain": "math",
            "split": split,
            "seed_id": f"s{number}",
            "partner_seed_id": None,
            "licence": "MIT",
            "quality_score": 0.5,
        }


def test_a_split_is_cut_into_files_by_size_and_their_names_say_how_many(tmp_path: Path) -> None:
    write_splits(rows(5), tmp_path, shard_bytes=1, group_rows=2)
    names = [path.name for path in sorted((tmp_path / "data").iterdir())]
    assert names == [f"train-0000{number}-of-00003.parquet" for number in range(3)]


def test_what_was_written_is_read_back_from_both_formats(tmp_path: Path) -> None:
    written = write_splits([*rows(5), *rows(2, "test")], tmp_path, shard_bytes=1, group_rows=2)
    assert written.counts == {"train": 5, "test": 2}
    assert digest_of(read_splits(tmp_path, written.counts)) == (written.digest, written.counts)
    assert digest_of(read_lines(tmp_path, written.counts)) == (written.digest, written.counts)


def test_the_digest_is_that_of_the_rows_not_of_how_they_are_cut(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    digests = {
        write_splits(rows(5), tmp_path / "a", shard_bytes=1, group_rows=2).digest,
        write_splits(rows(5), tmp_path / "b", shard_bytes=10**9).digest,
    }
    assert len(digests) == 1


def test_parquet_has_plain_types(tmp_path: Path) -> None:
    write_splits(rows(1), tmp_path, shard_bytes=10**9)
    schema = pq.read_schema(tmp_path / "data/train-00000-of-00001.parquet")
    assert str(schema.field("conversations").type) == "list<element: struct<from: string, value: string>>"


def test_llama_factory_finds_each_split_under_a_name_of_its_own() -> None:
    info = dataset_info("boost_qa", {"train": 5, "test": 1})
    assert {name: entry["file_name"] for name, entry in info.items()} == {
        "boost_qa": "jsonl/train.jsonl",
        "boost_qa_test": "jsonl/test.jsonl",
    }


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


class Contended(LocalStore):
    """A store where somebody else moves the pointer between our read and our write, a number of times."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.times = times

    def replace_if_unchanged(self, path: str, data: bytes, version: str | None) -> bool:
        if self.times:
            self.times -= 1
            self.put(path, json.dumps({"id": f"other{self.times}"}).encode())
        return super().replace_if_unchanged(path, data, version)


def test_the_pointer_moves_though_others_move_it_too(tmp_path: Path) -> None:
    store = Contended(tmp_path, times=3)
    assert move_latest(store, "latest.json", {"id": "mine"})
    assert json.loads(store.get("latest.json")) == {"id": "mine"}


def test_a_pointer_that_others_never_stop_moving_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"latest\.json was changed by others"):
        move_latest(Contended(tmp_path, times=1000), "latest.json", {"id": "mine"})


def test_a_pointer_that_is_right_is_not_written(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    move_latest(store, "latest.json", {"id": "mine"})
    assert not move_latest(store, "latest.json", {"id": "mine"})
