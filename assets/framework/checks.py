"""Runs the data-quality checks of an asset, in SQL (`assets.framework.check_files`) and in Python, as one Dagster step.

SQL checks read views. Every table that a query names is a view, and so is `<table>_partitions`: one row per written
partition of it, with `partition`, the partition columns, `rows`, `gate` and `fingerprint`. `this_run` and
`this_run_partitions` are the checked table, limited to the partitions of the run that calls the check (the whole table
when a check is run by hand).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import duckdb
import pyarrow as pa
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetKey,
    MetadataValue,
    multi_asset_check,
)

from assets.framework.check_files import Check, OffendingRow, sql_checks
from assets.framework.publication import NotPublished
from assets.framework.ui_metadata import escaped_line, table_markdown
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake, Table
from resources.outside_text import without_links

SHOWN_ROWS = 12
SHOWN_CHARACTERS = 120  # of one value in a check's description
PLAIN_WORDS = re.compile(r"[\w|.,:;%…+ -]*")


class NothingToCheck(Exception):
    """What a check looks at does not exist. The check fails; the message says what to do."""


@dataclass
class CheckRun:
    """What the checks of one step look at. A stage's own subclass adds what its checks need, each part read once.

    A check fails with the message of `NothingToCheck` or `NotPublished` that reading a part raises.
    """

    lake: Lake
    resources: Mapping[str, Any]  # by name
    keys: frozenset[str] | None  # the partition keys of the run; None where it has none: look at everything
    queries: str  # of the selected SQL checks
    cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def partitions(self) -> int | None:
        """How many partitions the checks look at; None where the asset has none."""
        return None

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """With the views that SQL checks read."""
        return self.cleanup.enter_context(self.connect())

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open the connection."""
        return self.lake.connect([])


@dataclass(kw_only=True)
class TableCheckRun(CheckRun):
    """Checks of one table, which may read other tables too."""

    table: Table
    others: Sequence[Table] = ()

    @cached_property
    def records(self) -> list[PartitionRecord]:
        """The partitions to look at."""
        return [
            record
            for record in self.lake.records(self.table)
            if self.keys is None or record.name in self.keys or not self.keys.isdisjoint(record.keys.values())
        ]

    @property
    def partitions(self) -> int:
        """How many partitions the checks look at."""
        return len(self.records)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """With `this_run` and the tables that the queries name."""
        tables = [self.table, *(table for table in self.others if table.name in self.queries)]
        connection = self.lake.connect(tables, only={"this_run": self.records})
        offer_partitions(connection, "this_run", self.table, self.records)
        for table in tables:
            if f"{table.name}_partitions" in self.queries:
                offer_partitions(connection, table.name, table, self.lake.records(table))
        return connection


def offer_partitions(
    connection: duckdb.DuckDBPyConnection, view: str, table: Table, records: Sequence[PartitionRecord]
) -> None:
    """The view `<view>_partitions`: one row per written partition."""
    columns: dict[str, Any] = {"partition": [record.name for record in records]}
    columns |= {key: [record.keys[key] for record in records] for key in table.keys}
    columns |= {name: [getattr(record, name) for record in records] for name in ("gate", "fingerprint")}
    text = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    connection.register(
        f"{view}_partitions", text.append_column("rows", pa.array([record.rows for record in records], pa.int64()))
    )


Run = TypeVar("Run", bound=CheckRun)
Run_co = TypeVar("Run_co", bound=CheckRun, covariant=True)


class OpenRun(Protocol[Run_co]):
    """Makes what the checks of one step look at; mostly the class itself."""

    def __call__(
        self, lake: Lake, resources: Mapping[str, Any], keys: frozenset[str] | None, queries: str
    ) -> Run_co: ...


def table_checks(
    table: Table,
    folder: Path,
    others: Sequence[Table] = (),
    python: Sequence[Check[TableCheckRun]] = (),
    asset: str | None = None,
    resources: Collection[str] = (),
) -> AssetChecksDefinition:
    """All checks of an asset that writes a table.

    Args:
        table: what the asset writes.
        folder: of the SQL checks.
        others: further tables that SQL checks may read.
        python: the checks in Python.
        asset: the asset's name, where it is not the table's.
        resources: names of the resources that the checks in Python use.
    """
    checks: list[Check[TableCheckRun]] = [*sql_checks(folder), *python]
    return asset_checks(asset or table.name, checks, partial(TableCheckRun, table=table, others=others), resources)


def asset_checks(
    asset: str, checks: Sequence[Check[Run]], open_run: OpenRun[Run], resources: Collection[str] = ()
) -> AssetChecksDefinition:
    """All checks of an asset, as one step that can run a part of them.

    Args:
        asset: the asset's name.
        checks: what to run.
        open_run: makes what they look at.
        resources: names of the resources that they use, beside the lake and those whose settings SQL checks take.
    """
    needed = {"lake", *resources}.union(*(check.resources for check in checks))
    specs = [
        AssetCheckSpec(check.name, asset=AssetKey(asset), description=check.description, blocking=check.blocking)
        for check in checks
    ]

    @multi_asset_check(name=f"{asset}_checks", specs=specs, can_subset=True, required_resource_keys=needed)
    def run_checks(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        names = {key.name for key in context.selected_asset_check_keys}
        selected = [check for check in checks if check.name in names]
        given = {name: getattr(context.resources, name) for name in needed}
        queries = "\n".join(check.query for check in selected)
        run = open_run(given["lake"], given, _partition_keys(context), queries)
        with run.cleanup:
            for check in selected:
                yield check_result(asset, check, run)

    return run_checks


def check_result(asset: str, check: Check[Run], run: Run) -> AssetCheckResult:
    """Run one check: how many rows offend, and the first of them."""
    shown: list[OffendingRow] = []
    failures, partitions = 0, None
    try:
        for row in check.find(run):
            failures += 1
            if failures <= SHOWN_ROWS:
                shown.append(row)
        partitions = run.partitions
    except (NothingToCheck, NotPublished) as error:
        shown, failures = [{"fault": str(error)}], 1
    metadata: dict[str, MetadataValue[Any]] = {
        "failures": MetadataValue.int(failures),
        "rows": table_markdown(shown),
    }
    if partitions is not None:
        metadata["partitions"] = MetadataValue.int(partitions)
    return AssetCheckResult(
        check_name=check.name,
        asset_key=AssetKey(asset),
        passed=not failures,
        description=failure_text(failures, shown[0], check.limits(run), check.advice) if shown else None,
        severity=check.severity(run) if callable(check.severity) else check.severity,
        metadata=metadata,
    )


def failure_text(failures: int, first: OffendingRow, limits: Mapping[str, Any], advice: str) -> str:
    """Why a check failed, in one line: how many rows offend, the first of them, the limits, and what to do."""
    named = [", ".join(f"{name} {_short(value)}" for name, value in part.items()) for part in (first, limits)]
    count = "1 row offends" if failures == 1 else f"{failures:,} rows offend, the first"
    text = f"{count}: {named[0]}" + (f" (limits: {named[1]})" if named[1] else "")
    return f"{text}. {advice}".strip()


def _short(value: Any) -> str:
    """A value in a check's description, which the UI renders as Markdown. Plain words are the same in the terminal."""
    text = f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"
    return cut if PLAIN_WORDS.fullmatch(cut) and without_links(cut) == cut else escaped_line(cut)


def _partition_keys(context: AssetCheckExecutionContext) -> frozenset[str] | None:
    if context.has_partition_key or context.has_partition_key_range:
        return frozenset(context.partition_keys)
    return None
