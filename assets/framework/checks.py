"""Data-quality checks as SQL files that DuckDB runs over the lake: a check's query returns the rows that offend.

Every table of the lake is a view of its own name. `this_run` is the checked asset's table, limited to the partitions
of the run that calls the check (the whole table when a check is run by hand). Named parameters (`$limit`) come from
the check's definition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    MetadataValue,
    ResourceParam,
    multi_asset_check,
)

from assets.framework.ui_metadata import table_markdown
from resources.lake.tables import Lake, Table

SHOWN_ROWS = 12
CHUNK = 1000


@dataclass(frozen=True)
class SqlCheck:
    """One check. `sql` names a file in the stage's `checks/` folder; its rows are the failures."""

    name: str
    sql: str
    description: str
    severity: AssetCheckSeverity = AssetCheckSeverity.ERROR
    blocking: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


def sql_checks(
    table: Table,
    checks: Sequence[SqlCheck],
    folder: Path,
    tables: Sequence[Table],
    asset: str | None = None,
) -> AssetChecksDefinition:
    """All SQL checks of one asset, as one step.

    Args:
        table: what the asset makes.
        checks: what to run.
        folder: where the `.sql` files lie.
        tables: further tables that the queries read.
        asset: the asset's name, where it is not the table's.
    """
    name = asset or table.name
    specs = [
        AssetCheckSpec(name=check.name, asset=AssetKey(name), description=check.description, blocking=check.blocking)
        for check in checks
    ]

    @multi_asset_check(name=f"{name}_checks", specs=specs, can_subset=True)
    def run_checks(context: AssetCheckExecutionContext, lake: ResourceParam[Lake]) -> Iterator[AssetCheckResult]:
        wanted = keys_of_run(context)
        this_run = [
            record
            for record in lake.records(table)
            if wanted is None or record.name in wanted or not wanted.isdisjoint(record.keys.values())
        ]
        asked = {key.name for key in context.selected_asset_check_keys}
        with lake.connect([table, *tables], only={"this_run": this_run}) as connection:
            for check in checks:
                if check.name in asked:
                    yield sql_result(connection, check, folder, name, len(this_run))

    return run_checks


def keys_of_run(context: AssetCheckExecutionContext) -> frozenset[str] | None:
    """Partition keys of the run that calls a check; None where it is run by hand, over the whole table."""
    if context.has_partition_key or context.has_partition_key_range:
        return frozenset(context.partition_keys)
    return None


def sql_result(
    connection: duckdb.DuckDBPyConnection, check: SqlCheck, folder: Path, asset: str, partitions: int | None = None
) -> AssetCheckResult:
    """Run one check on a connection that has its views; `partitions` is how many it looked at."""
    query = (folder / check.sql).read_text(encoding="utf-8")
    cursor = connection.execute(query, dict(check.parameters) or None)
    names = [column[0] for column in cursor.description or []]
    shown = [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(SHOWN_ROWS)]
    failures = len(shown)
    while more := cursor.fetchmany(CHUNK):
        failures += len(more)
    return found_result(asset, check.name, shown, check.severity, partitions, failures)


def found_result(
    asset: str,
    check: str,
    found: Sequence[Mapping[str, Any]],
    severity: AssetCheckSeverity = AssetCheckSeverity.ERROR,
    partitions: int | None = None,
    failures: int | None = None,
) -> AssetCheckResult:
    """The result of a check that found these offending rows, the first of `failures`; it passes where there is none."""
    metadata: dict[str, MetadataValue[Any]] = {
        "failures": MetadataValue.int(len(found) if failures is None else failures),
        "rows": table_markdown(found, SHOWN_ROWS),
    }
    if partitions is not None:
        metadata["partitions"] = MetadataValue.int(partitions)
    return AssetCheckResult(
        check_name=check,
        asset_key=AssetKey(asset),
        passed=not found,
        severity=severity,
        metadata=metadata,
    )
