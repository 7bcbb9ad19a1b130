"""The files of a release or a training set, staged in a local folder (see `assets.framework.publication`).

data/train-00000-of-00002.parquet   sharded by size; plain list<struct<from, value>>
jsonl/train.jsonl                   the same rows, one per line, without null: see `NOT_NULL`
dataset_info.json                   what LLaMA-Factory reads
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.polars import DataFrameSchema

from assets.boost_qa.schema import RELEASE_ROW

GROUP_ROWS = 2000
# What JSONL has in place of null. Readers infer a column's type from its values: a column that is null throughout one
# file would have another type there than in the others, and `datasets.load_dataset` would refuse them together.
NOT_NULL = {"partner_seed_id": "", "quality_score": -1.0}
UNHASHED = ("README.md", "plots/")  # prefixes of the paths of files that a release's id does not cover
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_splits` wrote."""

    counts: dict[str, int]  # rows of each split; a split without rows has no files and is not listed
    digest: str  # sha256 of all rows in order, independent of the file format


class RowsDigest:
    """sha256 over the canonical JSON lines of rows."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, row: Row) -> None:
        """Add a row."""
        self._digest.update(_line(row).encode())

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._digest.hexdigest()


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_splits(rows: Iterable[Row], folder: Path, shard_bytes: int, group_rows: int = GROUP_ROWS) -> Written:
    """Write rows as Parquet and JSONL below `folder`.

    Args:
        rows: in their final order, by split; keys in the order of `RELEASE_ROW`.
        folder: an empty one.
        shard_bytes: a Parquet file of this size is closed, and the next one begun.
        group_rows: rows in memory at once, and in one Parquet row group.
    """
    digest, counts = RowsDigest(), {}
    for name in ("data", "jsonl"):
        (folder / name).mkdir()
    for split, members in groupby(rows, key=itemgetter("split")):
        counts[split] = _write_split(members, split, folder, shard_bytes, group_rows, digest)
    return Written(counts, digest.hexdigest())


def _write_split(
    rows: Iterator[Row], split: str, folder: Path, shard_bytes: int, group_rows: int, digest: RowsDigest
) -> int:
    count = 0
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    try:
        with (folder / f"jsonl/{split}.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
            while group := list(islice(rows, group_rows)):
                for row in group:
                    digest.add(row)
                    lines.write(_line({**row, **{name: NOT_NULL[name] for name in NOT_NULL if row[name] is None}}))
                table = pa.Table.from_pylist(group, schema=ARROW_ROW)
                RELEASE_ROW.validate(pl.DataFrame(pl.from_arrow(table)), lazy=True)
                if writer is None:
                    parts.append(folder / f"data/{split}-{len(parts):05d}.part")
                    writer = pq.ParquetWriter(parts[-1], ARROW_ROW, compression="zstd")
                writer.write_table(table)
                count += len(group)
                if parts[-1].stat().st_size >= shard_bytes:
                    writer.close()
                    writer = None
    finally:
        if writer is not None:
            writer.close()
    for number, part in enumerate(parts):
        part.rename(folder / f"data/{split}-{number:05d}-of-{len(parts):05d}.parquet")
    return count


def read_splits(folder: Path, counts: Mapping[str, int]) -> Iterator[Row]:
    """The rows of the staged Parquet files, in order, a row group in memory at a time."""
    for split in counts:
        for path in sorted((folder / "data").glob(f"{split}-*.parquet")):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(GROUP_ROWS):
                    yield from batch.to_pylist()


def read_lines(folder: Path, counts: Mapping[str, int]) -> Iterator[Row]:
    """The rows of the staged JSONL files, in order."""
    for split in counts:
        with (folder / f"jsonl/{split}.jsonl").open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                yield {**row, **{name: None for name, value in NOT_NULL.items() if row[name] == value}}


def digest_of(rows: Iterable[Row]) -> tuple[str, dict[str, int]]:
    """The digest of rows, and how many each split has."""
    digest, counts = RowsDigest(), dict[str, int]()
    for row in rows:
        digest.add(row)
        counts[row["split"]] = counts.get(row["split"], 0) + 1
    return digest.hexdigest(), counts


def read_back_faults(folder: Path, written: Written, parquet_rows: Iterable[Row] | None = None) -> list[str]:
    """Which formats, read back, do not have the rows that were written.

    Args:
        folder: the staged folder.
        written: what `write_splits` returned.
        parquet_rows: `read_splits` of the folder, if the caller looks at the rows too.
    """
    formats = {
        "Parquet": parquet_rows or read_splits(folder, written.counts),
        "JSONL": read_lines(folder, written.counts),
    }
    return [
        f"the {name} files, read back, do not have the rows that were written"
        for name, rows in formats.items()
        if digest_of(rows) != (written.digest, written.counts)
    ]


def dataset_info(name: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """LLaMA-Factory's description of the JSONL files: one dataset per split, `<name>` for training.

    LLaMA-Factory reads every local file as its split `train`, so no split is named here.
    """
    form = {
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "system"},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
    }
    return {
        name if split == "train" else f"{name}_{split}": {"file_name": f"jsonl/{split}.jsonl", **form}
        for split in counts
    }


def _plain(dtype: pa.DataType) -> pa.DataType:
    """An Arrow type without large offsets, which some readers show as separate types."""
    if pa.types.is_large_string(dtype):
        return pa.string()
    if pa.types.is_large_list(dtype):
        return pa.list_(_plain(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([(field.name, _plain(field.type)) for field in dtype])
    return dtype


def plain_schema(schema: DataFrameSchema) -> pa.Schema:
    """A table's schema as an Arrow schema, with types that every reader of Parquet shows alike."""
    columns = {name: column.dtype.type for name, column in schema.columns.items()}
    large = pl.DataFrame(schema=columns).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    return pa.schema([(field.name, _plain(field.type)) for field in large])


ARROW_ROW = plain_schema(RELEASE_ROW)
