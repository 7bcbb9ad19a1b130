"""The files of a release or a training set: staged in a local folder, then published with the manifest last.

data/train-00000-of-00002.parquet   sharded by size; plain list<struct<from, value>>
jsonl/train.jsonl                   the same rows, a line each
dataset_info.json                   what LLaMA-Factory reads
manifest.json                       sha256 and size of every other file; written last, once
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.polars import DataFrameSchema

from assets.boost_qa.schema import RELEASE_ROW
from resources.store import Store, StoreError

GROUP_ROWS = 2000
TRIES = 10
MANIFEST = "manifest.json"
LATEST = "latest.json"
TOLD = ("README.md", "plots/")  # beginnings of the paths of files that the content's hash says nothing of; small
Row = dict[str, Any]


class Overtaken(StoreError):
    """Another run moved the pointer to the latest while this one worked. The message says what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a release, as its manifest has it. `path` is relative to the release's folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_splits` wrote."""

    counts: dict[str, int]  # rows of each split; one without rows has no files and is not named
    digest: str  # sha256 over all rows in order, whatever the files' format


class RowsDigest:
    """Identity of rows in their order: sha256 over their canonical JSON lines."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, row: Row) -> str:
        """Take in a row; its canonical line without line break."""
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        self._digest.update(line.encode() + b"\n")
        return line

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._digest.hexdigest()


def write_splits(rows: Iterable[Row], folder: Path, shard_bytes: int, group_rows: int = GROUP_ROWS) -> Written:
    """Write rows as Parquet and JSONL below `folder`.

    Args:
        rows: in their final order, the rows of a split together, keys in the order of `RELEASE_ROW`.
        folder: an empty one.
        shard_bytes: a Parquet file that has grown to this size is closed and the next one begun.
        group_rows: rows held in memory at once, and of one Parquet row group.
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
                lines.writelines(digest.add(row) + "\n" for row in group)
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
            yield from map(json.loads, lines)


def digest_of(rows: Iterable[Row]) -> tuple[str, dict[str, int]]:
    """The digest of rows that were read back, and how many each split has."""
    digest, counts = RowsDigest(), dict[str, int]()
    for row in rows:
        digest.add(row)
        counts[row["split"]] = counts.get(row["split"], 0) + 1
    return digest.hexdigest(), counts


def dataset_info(name: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """LLaMA-Factory's description of the JSONL files: one dataset a split, `<name>` for training.

    LLaMA-Factory reads every local file as its split `train`, so none is named here.
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


def write_json(path: Path, content: Any) -> None:
    """A JSON file for people and programs."""
    path.write_bytes(json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Indented JSON."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def list_files(folder: Path) -> list[File]:
    """Every file below a staged folder, with size and hash, by path."""
    return [
        File(path.relative_to(folder).as_posix(), path.stat().st_size, _sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(store: Store, staged: Path, folder: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Put a staged folder in its final place: files first, manifest last and only if there is none.

    Two runs may publish the same content at once. The rows' files are the same bytes whoever writes them; what is told
    about them (`TOLD`) may differ, so it is written once and the manifest lists what is in place.

    Args:
        store: where to.
        staged: the local folder.
        folder: the place, which the content's hash names; a manifest there means that it is complete.
        manifest: what it says beside the files and the time.

    Returns:
        The manifest that is in place: an earlier one, or that of a run that was faster, if there was one.
    """
    target = f"{folder}/{MANIFEST}"
    if not store.exists(target):
        files = [_put_file(store, folder, staged, file) for file in list_files(staged)]
        complete = {
            **manifest,
            "files": [asdict(file) for file in files],
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        store.put_if_absent(target, json_bytes(complete))
    found: dict[str, Any] = json.loads(store.get(target))
    return found


def _put_file(store: Store, folder: str, staged: Path, file: File) -> File:
    """Publish one staged file; what is in place then."""
    source, target = staged / file.path, f"{folder}/{file.path}"
    if not file.path.startswith(TOLD):
        store.put_file(target, source)
    elif not store.put_if_absent(target, source.read_bytes()):
        there = store.get(target)
        return File(file.path, len(there), hashlib.sha256(there).hexdigest())
    return file


def read_latest(store: Store, home: str) -> dict[str, Any] | None:
    """What the pointer below `home` holds: the latest's `id` and `folder`. None where there is no pointer."""
    try:
        found: dict[str, Any] = json.loads(store.get(f"{home}/{LATEST}"))
    except FileNotFoundError:
        return None
    return found


def move_latest(store: Store, home: str, content: Mapping[str, Any], start: Mapping[str, Any] | None) -> bool:
    """Let the pointer below `home` hold `content`; say whether it had to be moved.

    Args:
        store: where the pointer is.
        home: its folder, which an asset is named by.
        content: `id` and `folder` of what it is to name.
        start: what `read_latest` gave before anything that `content` is made of was read.

    Raises:
        Overtaken: it names something else by now, which may be newer.
        StoreError: it could not be written, though nobody moved it.
    """
    path = f"{home}/{LATEST}"
    for _ in range(TRIES):
        try:
            data, version = store.get_with_version(path)
            found = json.loads(data)
        except FileNotFoundError:
            found = version = None
        if found == content:
            return False
        if found != start:
            other = f"published {found['id']}" if found else "took the latest away"
            raise Overtaken(
                f"another run {other} meanwhile, so {store.uri(path)} was not moved to {content['id']}; "
                f"materialise {home} again"
            )
        if store.replace_if_unchanged(path, json_bytes(content), version):
            return True
    raise StoreError(f"{store.uri(path)} could not be replaced in {TRIES} attempts; materialise {home} again")


def _plain(dtype: pa.DataType) -> pa.DataType:
    """An Arrow type without the large offsets that some readers show as types of their own."""
    if pa.types.is_large_string(dtype):
        return pa.string()
    if pa.types.is_large_list(dtype):
        return pa.list_(_plain(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([(field.name, _plain(field.type)) for field in dtype])
    return dtype


def plain_schema(schema: DataFrameSchema) -> pa.Schema:
    """The Arrow schema of a table's contract, in types that every reader of Parquet shows alike."""
    columns = {name: column.dtype.type for name, column in schema.columns.items()}
    large = pl.DataFrame(schema=columns).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    return pa.schema([(field.name, _plain(field.type)) for field in large])


ARROW_ROW = plain_schema(RELEASE_ROW)
