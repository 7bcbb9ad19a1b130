"""The gates that a staged release must pass to be published: the SQL files in `gates/`, and the files read back."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from assets.boost_qa.assembly import Row
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.decontamination import BenchmarkScreen
from assets.boost_qa.files import Written, read_back_faults, read_splits
from assets.framework.check_files import OpenConnection, sql_checks

GATES = sql_checks(Path(__file__).parent / "gates")  # they are asset checks of the published release too
SHOWN = 5


def gate_faults(
    connection: duckdb.DuckDBPyConnection, folder: Path, written: Written, rules: ReleaseRules, screen: BenchmarkScreen
) -> list[str]:
    """What each gate that the staged release fails found; without any, it may be published.

    Args:
        connection: with the views `released` (the staged Parquet files), `raw_seeds` and `dialogue_plans`.
        folder: where the files are staged.
        written: counts and hash of the rows that should have been written.
        rules: with the minimum number of rows.
        screen: of the benchmarks; the rows that are read back are screened again.
    """
    faults = []
    rows = sum(written.counts.values())
    if rows < rules.minimum_rows:
        faults.append(f"{rows} rows, the release rules require at least {rules.minimum_rows}")
    contaminated: list[str] = []
    faults += read_back_faults(folder, written, _screened(read_splits(folder, written.counts), screen, contaminated))
    if contaminated:
        faults.append(f"{len(contaminated)} rows share text with a benchmark: {', '.join(contaminated[:SHOWN])}")
    staged = OpenConnection(connection, {})
    for check in GATES:
        if found := list(check.find(staged)):
            shown = "; ".join(", ".join(map(str, row.values())) for row in found[:SHOWN])
            faults.append(f"{check.name}: {len(found)} rows break the rule {check.description!r}, among them {shown}")
    return faults


def contaminated_rows(rows: Iterator[Row], screen: BenchmarkScreen) -> list[str]:
    """The ids of rows whose conversation shares text with a benchmark."""
    found: list[str] = []
    for _ in _screened(rows, screen, found):
        pass
    return found


def _screened(rows: Iterator[Row], screen: BenchmarkScreen, contaminated: list[str]) -> Iterator[Row]:
    for row in rows:
        if screen.find(turn["value"] for turn in row["conversations"]):
            contaminated.append(row["id"])
        yield row
