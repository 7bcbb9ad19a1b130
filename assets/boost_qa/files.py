"""The files of a release or a training set, staged in a local folder (see `assets.framework.publication`).

data/train-00000-of-00002.parquet   sharded by size; plain list<struct<from, value>>
jsonl/train.jsonl                   the same rows, one per line, without null: see `RowForm.not_null`
<export>/train.jsonl                the same rows as another program reads them: see `RowForm.exports`
dataset_info.json                   what LLaMA-Factory reads
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from assets.boost_qa.forms import CONVERSATION, Row, RowForm

GROUP_ROWS = 2000
UNHASHED = ("README.md", "plots/")  # prefixes of the paths of files that a release's id does not cover


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_splits` wrote."""

    counts: dict[str, int]  # rows of each split; a split without rows has no files and is not listed
    digest: str  # sha256 of all rows in order, independent of the file format
    form: RowForm


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


def write_splits(
    rows: Iterable[Row],
    folder: Path,
    shard_bytes: int,
    form: RowForm = CONVERSATION,
    group_rows: int = GROUP_ROWS,
) -> Written:
    """Write rows as Parquet, as JSONL and as the exports of their form below `folder`.

    Args:
        rows: in their final order, by split; keys in the order of the form's schema.
        folder: an empty one.
        shard_bytes: a Parquet file of this size is closed, and the next one begun.
        form: of the rows.
        group_rows: rows in memory at once, and in one Parquet row group.
    """
    digest, counts = RowsDigest(), {}
    for name in ("data", "jsonl", *form.exports):
        (folder / name).mkdir()
    for split, members in groupby(rows, key=itemgetter("split")):
        counts[split] = _write_split(members, split, folder, shard_bytes, form, group_rows, digest)
    return Written(counts, digest.hexdigest(), form)


def _write_split(
    rows: Iterator[Row],
    split: str,
    folder: Path,
    shard_bytes: int,
    form: RowForm,
    group_rows: int,
    digest: RowsDigest,
) -> int:
    count = 0
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    with ExitStack() as stack:
        lines = {
            name: stack.enter_context((folder / f"{name}/{split}.jsonl").open("w", encoding="utf-8", newline="\n"))
            for name in ("jsonl", *form.exports)
        }
        try:
            while group := list(islice(rows, group_rows)):
                for row in group:
                    digest.add(row)
                    nulls = {name: value for name, value in form.not_null.items() if row[name] is None}
                    lines["jsonl"].write(_line({**row, **nulls}))
                    for name, export in form.exports.items():
                        lines[name].write(_line(export(row)))
                table = pa.Table.from_pylist(group, schema=form.arrow)
                form.schema.validate(pl.DataFrame(pl.from_arrow(table)), lazy=True)
                if writer is None:
                    parts.append(folder / f"data/{split}-{len(parts):05d}.part")
                    writer = pq.ParquetWriter(parts[-1], form.arrow, compression="zstd")
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


def read_lines(folder: Path, counts: Mapping[str, int], form: RowForm = CONVERSATION) -> Iterator[Row]:
    """The rows of the staged JSONL files, in order."""
    for split in counts:
        with (folder / f"jsonl/{split}.jsonl").open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                yield {**row, **{name: None for name, value in form.not_null.items() if row[name] == value}}


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
    exports = {
        (name, split): hashlib.sha256() for name in written.form.exports for split in written.counts
    }  # of the lines that the rows, read back, give
    formats = {
        "Parquet": _exported(parquet_rows or read_splits(folder, written.counts), written.form, exports),
        "JSONL": read_lines(folder, written.counts, written.form),
    }
    wrong = [name for name, rows in formats.items() if digest_of(rows) != (written.digest, written.counts)]
    for (name, split), expected in exports.items():
        with (folder / f"{name}/{split}.jsonl").open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != expected.digest():
                wrong.append(f"{name}/{split}")
    return [f"the {name} files, read back, do not have the rows that were written" for name in wrong]


def _exported(rows: Iterable[Row], form: RowForm, digests: Mapping[tuple[str, str], "hashlib._Hash"]) -> Iterator[Row]:
    """The rows; the digests, by export and split, get the lines that they give."""
    for row in rows:
        for name, export in form.exports.items():
            digests[name, row["split"]].update(_line(export(row)).encode())
        yield row


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
