"""Runs the SQL checks of a stage on rows that a test makes up, in DuckDB's memory and without Dagster."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import duckdb
from dagster import AssetCheckResult

from assets.framework.check_files import Check, OpenConnection, Queryable
from assets.framework.checks import CheckRun, check_result, offer_partitions
from resources.lake.records import PartitionRecord
from resources.lake.tables import Table

Rows = Sequence[Mapping[str, Any]]
Run = TypeVar("Run", bound=CheckRun)


def failing(
    checks: Iterable[Check[Queryable]],
    tables: Sequence[Table],
    rows: Mapping[str, Rows],
    *,
    this_run: Rows | None = None,
    empty: Sequence[Mapping[str, str]] = (),
    resources: Mapping[str, Any] | None = None,
) -> set[str]:
    """The names of the checks that fail.

    Args:
        checks: what to run.
        tables: the tables that they read, the checked one first.
        rows: the rows of each table by its name; a missing key is null.
        this_run: the checked table's rows of the run's partitions; all of them where not given.
        empty: partitions of the checked table that were written without rows.
        resources: the resources whose settings the checks take.
    """
    checked = tables[0]
    views = {table.name: (table, rows.get(table.name, [])) for table in tables}
    views["this_run"] = (checked, rows.get(checked.name, []) if this_run is None else this_run)
    with duckdb.connect() as connection:
        for view, (table, held) in views.items():
            connection.register(view, table.frame(held).to_arrow())
            offer_partitions(connection, view, table, records(table, held, empty if table is checked else ()))
        run = OpenConnection(connection, resources or {})
        return {check.name for check in checks if any(True for _ in check.find(run))}


def records(table: Table, rows: Rows, empty: Sequence[Mapping[str, str]]) -> list[PartitionRecord]:
    """The partitions that such rows are in, and those without rows."""
    counts = Counter(tuple(row[key] for key in table.keys) for row in rows)
    counts.update({tuple(keys[key] for key in table.keys): 0 for keys in empty})
    return [
        PartitionRecord(table.name, dict(zip(table.keys, values, strict=True)), datetime.now(UTC), "f", "passed", n)
        for values, n in counts.items()
    ]


def failing_after(asset: str, checks: Sequence[Check[Run]], run: Run) -> dict[str, AssetCheckResult]:
    """The results of the checks that fail, by name. `run` is what they look at in the lake."""
    with run.cleanup:
        results = {check.name: check_result(asset, check, run) for check in checks}
    return {name: result for name, result in results.items() if not result.passed}
