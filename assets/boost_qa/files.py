"""The files of a release or a training set, staged in a local folder (see `assets.framework.publication`).

data/train-00000-of-00002.parquet   sharded by size; plain list<struct<from, value>>
jsonl/train.jsonl                   the same rows, one per line, without null: see `RowForm.not_null`
<export>/train.jsonl, train.parquet the same rows as other programs read them: see `RowForm.exports`
dataset_info.json                   what LLaMA-Factory reads, where it can read the form
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from assets.boost_qa.forms import CONVERSATION, Row, RowForm
from resources.lake.published_folders import write_json

GROUP_ROWS = 2000
UNHASHED = ("README.md", "plots/")  # prefixes of the paths of files that a release's id does not cover


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_splits` wrote."""

    counts: dict[str, int]  # rows of each split; a split without rows has no files and is not listed
    digest: str  # sha256 of all rows in order, independent of the file format
    form: RowForm
    exports: dict[str, str] = field(default_factory=dict)  # folder/split -> sha256 of the lines of an export


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


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _line(row: Row) -> str:
    return _encode(row) + "\n"


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
    digest = RowsDigest()
    written = Written({}, "", form)
    for name in ("data", "jsonl", *form.exports):
        (folder / name).mkdir()
    for split, members in groupby(rows, key=itemgetter("split")):
        with ExitStack() as stack:
            exports = [stack.enter_context(ExportWriter(folder, name, split, form)) for name in form.exports]
            written.counts[split] = _write_split(members, split, folder, shard_bytes, form, group_rows, digest, exports)
            written.exports.update({f"{export.name}/{split}": export.hexdigest() for export in exports})
    return replace(written, digest=digest.hexdigest())


class ExportWriter(AbstractContextManager["ExportWriter"]):
    """Writes the files of one export and one split."""

    def __init__(self, folder: Path, name: str, split: str, form: RowForm) -> None:
        self.name = name
        self._export = form.exports[name]
        self._digest = hashlib.sha256()
        self._lines = (folder / f"{name}/{split}.jsonl").open("wb")
        arrow = self._export.arrow
        self._table = pq.ParquetWriter(folder / f"{name}/{split}.parquet", arrow, compression="zstd") if arrow else None

    def add(self, rows: list[Row]) -> None:
        """Write rows; they are one row group of Parquet."""
        lines = list(map(self._export.line, rows))
        encoded = "".join(map(_line, lines)).encode()
        self._digest.update(encoded)
        self._lines.write(encoded)
        if self._table:
            self._table.write_table(pa.Table.from_pylist(lines, schema=self._export.arrow))

    def hexdigest(self) -> str:
        """sha256 of the lines: 64 hex digits."""
        return self._digest.hexdigest()

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        if self._table:
            self._table.close()


def _write_split(
    rows: Iterator[Row],
    split: str,
    folder: Path,
    shard_bytes: int,
    form: RowForm,
    group_rows: int,
    digest: RowsDigest,
    exports: list[ExportWriter],
) -> int:
    count = 0
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    with (folder / f"jsonl/{split}.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
        try:
            while group := list(islice(rows, group_rows)):
                for row in group:
                    digest.add(row)
                    nulls = {name: value for name, value in form.not_null.items() if row[name] is None}
                    lines.write(_line({**row, **nulls}))
                for export in exports:
                    export.add(group)
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
    formats = {
        "Parquet": parquet_rows or read_splits(folder, written.counts),
        "JSONL": read_lines(folder, written.counts, written.form),
    }
    wrong = [name for name, rows in formats.items() if digest_of(rows) != (written.digest, written.counts)]
    wrong += [
        path
        for name, digest in written.exports.items()
        for path, lines in _exported(folder, name, written.form)
        if _sha256(lines) != digest
    ]
    return [f"the {name} files, read back, do not have the rows that were written" for name in wrong]


def _exported(folder: Path, name: str, form: RowForm) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The files of an export, `name` of folder and split, each with its lines."""
    with (folder / f"{name}.jsonl").open("rb") as lines:
        yield f"{name}.jsonl", lines
    if form.exports[name.partition("/")[0]].arrow:
        with pq.ParquetFile(folder / f"{name}.parquet") as file:
            batches = (batch.to_pylist() for batch in file.iter_batches(GROUP_ROWS))
            yield f"{name}.parquet", (_line(row).encode() for batch in batches for row in batch)


def _sha256(lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def write_dataset_info(folder: Path, name: str, written: Written) -> None:
    """Write LLaMA-Factory's description of the files, if it can read the form: one dataset per split.

    The training split's is `name`, another's `<name>_<split>`. LLaMA-Factory reads every local file as its split
    `train`, so no split is named here.
    """
    form = written.form
    if form.llama_factory:
        described = {
            dataset_name(name, split): {
                "file_name": f"{form.llama_factory_folder}/{split}.jsonl",
                "formatting": "sharegpt",
                **form.llama_factory,
            }
            for split in written.counts
        }
        write_json(folder / "dataset_info.json", described)


def dataset_name(name: str, split: str) -> str:
    """A split's name in `dataset_info.json`."""
    return name if split == "train" else f"{name}_{split}"
