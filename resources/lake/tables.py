"""The lake: every table as Parquet, one file per partition, on local disk or S3. Its files are the record of what is done.

lake.json                                               the version of this layout
scenario_dialogues/scenario=debate/shard=x-0003/part.parquet    the rows; the footer says what they were made of
_index/scenario_dialogues/scenario=debate/shard=x-0003/<when>~<fingerprint>~<gate>~<rows>.json
                                                        the same facts, for thousands of partitions in one listing
_journal/…                                              completions that were paid for (resources.chat.journal)
"""

import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb
import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from resources.lake.opening import open_store
from resources.lake.store import S3_AS_USUAL, S3Options, Store, StoredFile, StoreError

FORMAT = 2  # see resources.lake.migration
FORMAT_FILE = "lake.json"
MIGRATE_COMMAND = "python -m master_dagster.cli migrate-lake"
USUAL_FOOTER = 1 << 16  # bytes; a longer one takes a second request
Gate = Literal["passed", "failed"]
JSON = Any


class TableError(ValueError):
    """Rows do not fit their table's schema. Nothing was written."""


class AlreadyWritten(RuntimeError):
    """The partition exists with another fingerprint and may not be replaced. Nothing was written."""


@dataclass(frozen=True)
class Table:
    """A table of the lake: its name, the columns of its partition key, and its schema."""

    name: str
    keys: tuple[str, ...]
    schema: pa.DataFrameSchema

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """Column name to polars type, in order."""
        return {name: column.dtype.type for name, column in self.schema.columns.items()}

    def empty(self) -> pl.DataFrame:
        """No rows, with every column."""
        return pl.DataFrame(schema=self.columns)

    def frame(self, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
        """Rows as a frame of this table's columns and types; a missing key is null."""
        return pl.from_dicts(list(rows), schema=self.columns) if rows else self.empty()

    def folder(self, keys: Mapping[str, str]) -> str:
        """`scenario=debate/shard=x-0003`, in the order of the table's keys."""
        return "/".join(f"{key}={keys[key]}" for key in self.keys)


@dataclass(frozen=True, slots=True)
class PartitionRecord:
    """What is known of one written partition without reading its rows."""

    table: str
    keys: Mapping[str, str]
    written_at: datetime
    fingerprint: str  # identity of its inputs: seeds, plans, prompts, models, rules
    gate: Gate  # whether the partition's own checks passed
    rows: int

    @property
    def name(self) -> str:
        """The keys' values joined as in Dagster's partition keys: `debate|x-0003`."""
        return "|".join(self.keys[key] for key in sorted(self.keys))


class Lake:
    """Reads and writes tables. Opening a lake writes nothing; the first write stores the format's version."""

    def __init__(
        self, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC), s3: S3Options = S3_AS_USUAL
    ) -> None:
        self.store = store
        self.s3 = s3  # also for the files that configurations name by s3:// addresses (seeds, benchmarks)
        self._now = now
        self._checked = False

    @classmethod
    def at(cls, root: str, s3: S3Options = S3_AS_USUAL) -> "Lake":
        """The lake below a local folder or an `s3://bucket/prefix`, reached as `s3` says."""
        return cls(open_store(root, s3), s3=s3)

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(
        self,
        table: Table,
        keys: Mapping[str, str],
        frame: pl.DataFrame,
        *,
        fingerprint: str,
        gate: Gate = "passed",
        facts: Mapping[str, JSON] | None = None,
        once: bool = False,
    ) -> PartitionRecord:
        """Write one partition, whole or not at all, and replace the one that was there.

        Args:
            table: the partition's table.
            keys: one value for each of the table's partition columns.
            frame: all rows of the partition, in canonical order, with exactly the table's columns.
            fingerprint: identity of all inputs of the rows.
            gate: whether the partition's own checks passed; a release takes only partitions whose checks passed.
            facts: further facts for the footer (profile, prompt versions, usage), plain JSON.
            once: never replace a partition, not even one that another process writes at this moment. A partition
                of the same fingerprint counts as written.

        Raises:
            AlreadyWritten: `once`, and a partition with another fingerprint exists.
            TableError: the rows do not fit the schema.
            StoreError: the lake cannot be written.
        """
        self._check_format(write=True)
        checked = self._validate(table, keys, frame)
        older = self._markers(table, keys)
        # A clock that was set back must not let an earlier write look like the newest.
        after = [marked.written_at + timedelta(microseconds=1) for marked in self._newest(older, table)]
        written_at = max([self._now(), *after])
        record = PartitionRecord(table.name, dict(keys), written_at, fingerprint, gate, checked.height)
        footer = {
            "master.fingerprint": fingerprint,
            "master.gate": gate,
            "master.written_at": record.written_at.isoformat(),
            "master.rows": str(record.rows),
            "master.facts": json.dumps(facts or {}, sort_keys=True),
        }
        buffer = io.BytesIO()
        # Level 1 takes half the time of polars' own level for 4 % more bytes.
        checked.write_parquet(buffer, compression="zstd", compression_level=1, metadata=footer)
        if not once:
            self.store.put(self.path(table, keys), buffer.getvalue())
        elif not self.store.put_if_absent(self.path(table, keys), buffer.getvalue()):
            existing = self.record(table, keys)
            if existing is None or existing.fingerprint != fingerprint:
                raise AlreadyWritten(f"{self.path(table, keys)} was written by another run and may not be replaced")
            return existing
        self._put_marker(table, record, older)
        # Another run may have written the partition since `older` was listed: then the last to put its file is not the
        # last by its time, and the index must agree with the file.
        self.record(table, keys)
        return record

    def _validate(self, table: Table, keys: Mapping[str, str], frame: pl.DataFrame) -> pl.DataFrame:
        where = f"{table.name}/{table.folder(keys)}"
        try:
            checked: pl.DataFrame = table.schema.validate(frame, lazy=True)
        except (SchemaError, SchemaErrors) as error:
            raise TableError(
                f"rows for {where} do not fit the table's schema; nothing was written:\n{error}"
            ) from error
        for key in table.keys:
            if key in checked.columns and (checked[key] != keys[key]).any():
                raise TableError(f"rows for {where} hold another {key} than {keys[key]!r}; nothing was written")
        return checked

    def _put_marker(self, table: Table, record: PartitionRecord, older: Iterable[StoredFile]) -> None:
        """Write the index's marker for `record`, and delete the markers that were listed before its file was written."""
        stamp = record.written_at.strftime("%Y%m%dT%H%M%S%fZ")
        folder = self._index_folder(table, record.keys)
        name = f"{folder}/{stamp}~{record.fingerprint}~{record.gate}~{record.rows}.json"
        self.store.put(name, b"{}")
        for file in older:
            if file.path != name:
                self.store.delete(file.path)

    # -- reading ---------------------------------------------------------------------------------------------------

    def path(self, table: Table, keys: Mapping[str, str]) -> str:
        """The path of a partition's file, relative to the lake's root."""
        return f"{table.name}/{table.folder(keys)}/part.parquet"

    def record(self, table: Table, keys: Mapping[str, str]) -> PartitionRecord | None:
        """The partition's record from its own footer; None where it was never written. Corrects an outdated index."""
        self._check_format()
        # Listed before the footer is read: a partition that is written meanwhile never looks older than its marker.
        markers = self._markers(table, keys)
        try:
            footer = self._footer(table, keys)
        except FileNotFoundError:
            return None
        record = PartitionRecord(
            table.name,
            dict(keys),
            datetime.fromisoformat(footer["master.written_at"]),
            footer["master.fingerprint"],
            "passed" if footer["master.gate"] == "passed" else "failed",
            int(footer["master.rows"]),
        )
        if self._newest(markers, table) != [record]:
            self._put_marker(table, record, markers)
        return record

    def facts(self, table: Table, keys: Mapping[str, str]) -> dict[str, JSON]:
        """The further facts in a partition's footer. Raises FileNotFoundError where it was never written."""
        self._check_format()
        footer = self._footer(table, keys)
        facts: dict[str, JSON] = json.loads(footer["master.facts"])
        return facts

    def records(self, table: Table) -> list[PartitionRecord]:
        """Every written partition, from the index, by keys. One listing, whatever their number."""
        self._check_format()
        return self._newest(self.store.list(f"_index/{table.name}"), table)

    def read(
        self,
        table: Table,
        partitions: Iterable[Mapping[str, str]] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Rows of the given partitions, or of all, by partition; a partition that was never written has no rows."""
        self._check_format()
        if partitions is None:
            partitions = [record.keys for record in self.records(table)]
        frames = []
        for keys in partitions:
            try:
                frames.append(self._read(self.path(table, keys), columns))
            except FileNotFoundError:
                continue
        if not frames:
            empty = table.empty()
            return empty.select(columns) if columns else empty
        return pl.concat(frames)

    def connect(
        self,
        tables: Iterable[Table],
        memory_limit: str = "1GB",
        only: Mapping[str, Sequence[PartitionRecord]] | None = None,
    ) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with one view per table, over its Parquet files; what exceeds memory spills to disk.

        Args:
            tables: the tables; one without any file is an empty view.
            memory_limit: of DuckDB.
            only: further views, by name: the partitions that each shows, all of one table.
        """
        connection = duckdb.connect()
        connection.execute(f"SET memory_limit = '{memory_limit}'; SET preserve_insertion_order = false")
        connection.execute("SET enable_progress_bar = false")
        file_system = self.store.duckdb_file_system()
        if file_system is not None:
            connection.register_filesystem(file_system)
        by_name = {table.name: table for table in tables}
        views = {name: (table, self.records(table)) for name, table in by_name.items()}
        for name, records in (only or {}).items():
            views[name] = (by_name[records[0].table], list(records)) if records else (next(iter(by_name.values())), [])
        for name, (table, records) in views.items():
            if records:
                files = ", ".join(
                    "'" + self.store.uri(self.path(table, record.keys)).replace("'", "''") + "'" for record in records
                )
                connection.execute(
                    f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{files}], hive_partitioning = false)"  # noqa: S608 - names of the code
                )
            else:
                connection.register(name, table.empty().to_arrow())
        return connection

    # -- inside ----------------------------------------------------------------------------------------------------

    def _index_folder(self, table: Table, keys: Mapping[str, str]) -> str:
        return f"_index/{table.name}/{table.folder(keys)}"

    def _markers(self, table: Table, keys: Mapping[str, str]) -> list[StoredFile]:
        return self.store.list(self._index_folder(table, keys))

    def _newest(self, files: Iterable[StoredFile], table: Table) -> list[PartitionRecord]:
        newest: dict[str, str] = {}
        for file in files:
            folder, _, name = file.path.rpartition("/")
            newest[folder] = max(name, newest.get(folder, ""))
        records = []
        for folder, name in sorted(newest.items()):
            stamp, fingerprint, gate, rows = name.removesuffix(".json").split("~")
            parts = folder.split("/")[2:]
            records.append(
                PartitionRecord(
                    table.name,
                    dict(part.split("=", 1) for part in parts),
                    datetime.strptime(stamp, "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC),
                    fingerprint,
                    "passed" if gate == "passed" else "failed",
                    int(rows),
                )
            )
        return records

    def _read(self, path: str, columns: Sequence[str] | None) -> pl.DataFrame:
        local = self.store.local_path(path)
        if local is not None:
            return pl.read_parquet(local, columns=list(columns) if columns else None)
        if not columns:
            return pl.read_parquet(self.store.get(path))
        import pyarrow.parquet as pq

        # pyarrow fetches the chunks of these columns; polars would read all of what is not a path.
        with self.store.open(path) as file:
            return pl.DataFrame(pl.from_arrow(pq.read_table(file, columns=list(columns)))).select(columns)

    def _footer(self, table: Table, keys: Mapping[str, str]) -> dict[str, str]:
        """The key-value metadata of a partition's file, without its rows. Raises FileNotFoundError."""
        path = self.path(table, keys)
        local = self.store.local_path(path)
        if local is not None:
            return pl.read_parquet_metadata(local)
        tail = self.store.get_tail(path, USUAL_FOOTER)
        length = int.from_bytes(tail[-8:-4], "little") + 8  # so a Parquet file ends: the footer, its length, "PAR1"
        if length > len(tail):
            tail = self.store.get_tail(path, length)
        return pl.read_parquet_metadata(tail)

    def _check_format(self, write: bool = False) -> None:
        """Raise StoreError where the lake has another format; a write marks a lake that has none."""
        if self._checked:
            return
        found = read_format(self.store)
        if found is None:
            if write:
                content = {"format": FORMAT, "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
                self.store.put_if_absent(FORMAT_FILE, json.dumps(content).encode())
                self._checked = True
            return
        if found["format"] != FORMAT:
            raise StoreError(
                f"the lake at {self.store.root} has format {found['format']}, of an earlier version of this project; "
                f"run `{MIGRATE_COMMAND}` once, while no run is in progress"
            )
        self._checked = True


def read_format(store: Store) -> dict[str, Any] | None:
    """What the lake's format file says; None where there is none, as in a lake that was never written.

    Raises:
        StoreError: the format is newer than this version of the project.
    """
    try:
        found: dict[str, Any] = json.loads(store.get(FORMAT_FILE))
    except FileNotFoundError:
        return None
    if found["format"] > FORMAT:
        raise StoreError(
            f"the lake at {store.root} has format {found['format']}, this version of the project reads format {FORMAT}; "
            "use the version that wrote it, or set MASTER_LAKE_ROOT to another lake"
        )
    return found
