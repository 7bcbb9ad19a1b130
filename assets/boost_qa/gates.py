"""What a staged release must pass before anybody sees it."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from assets.boost_qa.assembly import Row
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.decontamination import BenchmarkScreen
from assets.boost_qa.files import Written, digest_of, read_lines, read_splits

CHECKS = Path(__file__).parent / "checks"
# The asset checks of the same names run these files on what was published.
SQL_GATES = {
    "alternation.sql": "conversations do not alternate strictly, or have an empty turn",
    "unique.sql": "dialogues or seeds stand in the release twice",
    "split_leakage.sql": "seeds, their duplicates or their partners stand in several splits",
    "split_pinned.sql": "rows stand in another split than their dialogue plan says",
}
SHOWN = 5


def gate_faults(
    connection: duckdb.DuckDBPyConnection, folder: Path, written: Written, rules: ReleaseRules, screen: BenchmarkScreen
) -> list[str]:
    """Every gate that the staged release fails, in words; none: it may be published.

    Args:
        connection: with the views `released` (the staged Parquet files), `raw_seeds` and `dialogue_plans`.
        folder: where the files are staged.
        written: what was meant to be written.
        rules: the fewest rows.
        screen: of the benchmarks; the files are read back and screened once more.
    """
    faults = []
    rows = sum(written.counts.values())
    if rows < rules.minimum_rows:
        faults.append(f"{rows} rows where the release rules want at least {rules.minimum_rows}")
    contaminated: list[str] = []
    if digest_of(_screened(read_splits(folder, written.counts), screen, contaminated)) != (
        written.digest,
        written.counts,
    ):
        faults.append("the Parquet files, read back, do not hold the rows that were written")
    if digest_of(read_lines(folder, written.counts)) != (written.digest, written.counts):
        faults.append("the JSONL files, read back, do not hold the rows that were written")
    if contaminated:
        faults.append(f"{len(contaminated)} rows share text with a benchmark: {', '.join(contaminated[:SHOWN])}")
    for name, what in SQL_GATES.items():
        found = connection.execute((CHECKS / name).read_text(encoding="utf-8")).fetchall()
        if found:
            shown = "; ".join(", ".join(map(str, row)) for row in found[:SHOWN])
            faults.append(f"{what}: {len(found)}, among them {shown}")
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
