from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from assets.boost_qa.files import dataset_info, digest_of, read_lines, read_splits, write_splits


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
