"""The files of a release."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from datasets import Value

from assets.boost_qa.files import digest_of, read_lines, read_splits, write_splits


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


def test_rows_are_read_back_from_both_formats_with_one_digest_however_they_are_cut(tmp_path: Path) -> None:
    digests = set()
    for shard_bytes, files in ((1, 3), (10**9, 1)):
        folder = tmp_path / str(files)
        folder.mkdir()
        written = write_splits([*rows(5), *rows(2, "test")], folder, shard_bytes, group_rows=2)
        names = [path.name for path in sorted((folder / "data").glob("train-*"))]
        assert names == [f"train-0000{number}-of-0000{files}.parquet" for number in range(files)]
        assert written.counts == {"train": 5, "test": 2}
        for read in (read_splits, read_lines):
            assert digest_of(read(folder, written.counts)) == (written.digest, written.counts)
        digests.add(written.digest)
    assert len(digests) == 1


SCORED, UNSCORED = {"quality_score": 0.5}, {"quality_score": None}
ANALOGY = {"partner_seed_id": "s9"}
COLUMNS: list[dict[str, dict[str, Any]]] = [
    {"train": UNSCORED, "validation": SCORED, "test": UNSCORED},
    {"train": {}, "validation": ANALOGY, "test": {}},
    {"train": UNSCORED, "validation": {}, "test": ANALOGY},
    {"train": ANALOGY, "validation": UNSCORED, "test": UNSCORED},
]


@pytest.mark.parametrize("columns", COLUMNS)
def test_every_column_of_jsonl_has_one_type_in_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: dict[str, dict[str, Any]]
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "release"
    folder.mkdir()
    given = [row | columns[split] for split in columns for row in rows(2, split)]
    written = write_splits(given, folder, shard_bytes=10**9)
    files = {split: str(folder / f"jsonl/{split}.jsonl") for split in columns}
    by_split = datasets.load_dataset("json", data_files=files)
    together = datasets.load_dataset("json", data_files=list(files.values()), split="train")
    types = [Value("string"), Value("float64")]
    for loaded in (*by_split.values(), together):
        assert [loaded.features[name] for name in ("partner_seed_id", "quality_score")] == types
        assert loaded.features == together.features
    assert together.num_rows == 6
    assert list(read_lines(folder, written.counts)) == given


def test_parquet_has_plain_types(tmp_path: Path) -> None:
    write_splits(rows(1), tmp_path, shard_bytes=10**9)
    schema = pq.read_schema(tmp_path / "data/train-00000-of-00001.parquet")
    assert str(schema.field("conversations").type) == "list<element: struct<from: string, value: string>>"
