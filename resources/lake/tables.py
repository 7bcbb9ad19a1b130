"""The lake: every table as Parquet, one file per partition, on local disk or S3. Its files are the system of record.

lake.json                                               the version of this layout
scenario_dialogues/scenario=debate/shard=x-0003/part.parquet    the rows; the footer says what they were made of
_index/scenario_dialogues/scenario=debate/shard=x-0003/<when>~<fingerprint>~<gate>~<rows>~<content>~<made_from>.json
                                                        the same facts, for thousands of partitions in one listing
_journal/…                                              completions that were paid for (resources.chat.journal)
_spending/…                                             what was paid for them (resources.chat.spending_log)
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pandera.polars as pa
import polars as pl
import pyarrow.parquet as pq
from pandera.errors import SchemaError, SchemaErrors

from resources.lake.format import check_format, mark_format
from resources.lake.opening import open_store
from resources.lake.records import MARKER, Gate, PartitionRecord, newest_records
from resources.lake.store import DEFAULT_S3, S3Options, Store, StoredFile

JSON = Any


class TableError(ValueError):
    """Rows do not fit their table's schema. Nothing was written."""


class AlreadyWritten(RuntimeError):
    """The partition exists with another fingerprint and may not be replaced. Nothing was written."""


@dataclass(frozen=True)
class Table:
    """A table of the lake: its name, the columns of its partition key, and its schema.

    `extensible`: later versions or plug-ins add columns, so an earlier partition may lack some, which are read as null,
    or have others.
    """

    name: str
    keys: tuple[str, ...]
    schema: pa.DataFrameSchema
    extensible: bool = False

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


class Lake:
    """Reads and writes tables. Opening a lake writes nothing; the first write stores the format's version."""

    def __init__(
        self, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC), s3: S3Options = DEFAULT_S3
    ) -> None:
        self.store = store
        self.s3 = s3  # also for the files that configurations name by s3:// addresses (seeds, benchmarks)
        self._now = now
        self._checked = False

    @classmethod
    def at(cls, root: str, s3: S3Options = DEFAULT_S3) -> "Lake":
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
        made_from: PartitionRecord | None = None,
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
            made_from: the partition whose rows these were made from, where these can change under one fingerprint.
            once: never replace a partition, not even one that another process writes at this moment. A partition
                of the same fingerprint counts as written.

        Raises:
            AlreadyWritten: `once`, and a partition with another fingerprint exists.
            TableError: the rows do not fit the schema.
            StoreError: the lake cannot be written.
        """
        if not self._check_format():
            mark_format(self.store)
        checked = self._validate(table, keys, frame)
        older = self._markers(table, keys)
        # A clock that was set back must not let an earlier write look like the newest.
        after = [record.written_at + timedelta(microseconds=1) for record in newest_records(older)]
        written_at = max([self._now(), *after])
        record = PartitionRecord(
            table=table.name,
            keys=dict(keys),
            written_at=written_at,
            fingerprint=fingerprint,
            gate=gate,
            rows=checked.height,
            content=_content_hash(checked),
            made_from=made_from.content if made_from else "",
        )
        footer = {**record.to_footer(), "master.facts": json.dumps(facts or {}, sort_keys=True)}
        buffer = io.BytesIO()
        # Level 1 takes half the time of polars' own level for 4 % more bytes.
        checked.write_parquet(buffer, compression="zstd", compression_level=1, metadata=footer)
        path = self.path(table, keys)
        if not once:
            self.store.put(path, buffer.getvalue())
        elif not self.store.put_if_absent(path, buffer.getvalue()):
            existing = self.record(table, keys)
            if existing is None or existing.fingerprint != fingerprint:
                raise AlreadyWritten(f"{path} was written by another run and may not be replaced")
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
        """Write the index's marker for `record`; delete the markers that were listed before its file was written."""
        marker = f"{_index_folder(table, record.keys)}/{record.to_marker()}"
        self.store.put(marker, b"{}")
        for file in older:
            if file.path != marker:
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
        record = PartitionRecord.from_footer(table.name, keys, footer)
        if newest_records(markers) != [record]:
            self._put_marker(table, record, markers)
        return record

    def facts(self, table: Table, keys: Mapping[str, str]) -> dict[str, JSON]:
        """The further facts in a partition's footer. Raises FileNotFoundError where it was never written."""
        self._check_format()
        facts: dict[str, JSON] = json.loads(self._footer(table, keys)["master.facts"])
        return facts

    def records(self, table: Table) -> list[PartitionRecord]:
        """Every written partition, from the index, by keys. One listing, whatever their number."""
        self._check_format()
        return newest_records(self.store.list(f"_index/{table.name}"))

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
        if table.extensible and not columns:
            return pl.concat([table.empty(), *frames], how="diagonal").select(list(table.columns))
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
            if not records:
                connection.register(name, table.empty().to_arrow())
                continue
            addresses = (self.store.uri(self.path(table, record.keys)).replace("'", "''") for record in records)
            files = ", ".join(f"'{address}'" for address in addresses)
            options = f"hive_partitioning = false, union_by_name = {str(table.extensible).lower()}"
            rows = f"FROM read_parquet([{files}], {options})"
            if table.extensible:
                connection.register(f"{name}_columns", table.empty().to_arrow())
                rows = f"FROM {name}_columns UNION ALL BY NAME {rows}"
            connection.execute(f"CREATE VIEW {name} AS {rows}")
        return connection

    # -- inside ----------------------------------------------------------------------------------------------------

    def _markers(self, table: Table, keys: Mapping[str, str]) -> list[StoredFile]:
        files = self.store.list(_index_folder(table, keys))
        return [file for file in files if MARKER.fullmatch(file.path.rpartition("/")[2])]

    def _read(self, path: str, columns: Sequence[str] | None) -> pl.DataFrame:
        local = self.store.local_path(path)
        if local is not None:
            return pl.read_parquet(local, columns=list(columns) if columns else None)
        if not columns:
            return pl.read_parquet(self.store.get(path))
        # pyarrow fetches the chunks of these columns; polars would read all of what is not a path.
        with self.store.open(path) as file:
            return pl.DataFrame(pl.from_arrow(pq.read_table(file, columns=list(columns)))).select(columns)

    def _footer(self, table: Table, keys: Mapping[str, str]) -> dict[str, str]:
        """The metadata of a partition's file, without its rows. Raises FileNotFoundError."""
        with self.store.open(self.path(table, keys)) as file:
            metadata: dict[bytes, bytes] = pq.read_metadata(file).metadata
        return {name.decode(): value.decode() for name, value in metadata.items() if name.startswith(b"master.")}

    def _check_format(self) -> bool:
        """Whether the lake has a format yet. Raises StoreError where it is another one than the present."""
        self._checked = self._checked or check_format(self.store)
        return self._checked


def _content_hash(frame: pl.DataFrame) -> str:
    """16 hex digits over the rows."""
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="uncompressed")
    return hashlib.sha256(buffer.getbuffer()).hexdigest()[:16]


def _index_folder(table: Table, keys: Mapping[str, str]) -> str:
    return f"_index/{table.name}/{table.folder(keys)}"
