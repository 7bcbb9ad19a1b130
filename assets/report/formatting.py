"""Numbers as words, and the cells and tables that hold them, for the page and its Markdown alike.

Everything is shown in percent and percentage points; what is not there is shown as a dash.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.evaluation.statistics import FEWEST_SOURCES
from assets.framework.partitions import UNTUNED
from assets.report.scored_answers import OURS, SEEDS
from assets.training_sets.masks import MASKS

NOTHING = "–"
FEW = "†"  # marks intervals that take questions as independent although they share sources
BASELINES = ("random_aug", "spelling_aug", "tagcos", "cot_collection", "cot")
OTHER_FORMS = ("dpo", "kto", "critique")
COMPARED = (UNTUNED, SEEDS, OURS)
BASELINE_ROWS = (UNTUNED, SEEDS, *BASELINES, OURS)
MASK_ROWS = (SEEDS, *MASKS, OURS)
OTHER_ROWS = (SEEDS, OURS, *OTHER_FORMS)
TITLES = {
    UNTUNED: "untuned",
    SEEDS: "original answers",
    OURS: "BOOST-QA",
    "random_aug": "RandomAug",
    "spelling_aug": "SpellingAug",
    "tagcos": "TAGCOS",
    "cot_collection": "CoT Collection",
    "cot": "CoT prompting",
    "boost_qa_unless_wrong": "BOOST-QA, loss unless wrong",
    "boost_qa_final": "BOOST-QA, loss on the last turn",
    "dpo": "preference pairs (DPO)",
    "kto": "labelled answers (KTO)",
    "critique": "critiques",
}

Row = Mapping[str, Any]
Numbers = Mapping[str, Any]  # what `numbers.compute` gives


@dataclass(frozen=True, slots=True)
class TableCell:
    """A value and, in smaller letters, its interval and its spread over training seeds."""

    main: str
    beside: str = ""
    seeds: str = ""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One table; its first column names the rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    words: tuple[str, ...] = ()  # columns that hold words, not numbers
    notes: tuple[str, ...] = ()  # below it


def report_table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[TableCell | str]], words: Sequence[str] = ()
) -> ReportTable:
    """A table of cells, of which some are given as plain text."""
    cells = (tuple(TableCell(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)
    return ReportTable(caption, tuple(columns), tuple(cells), tuple(words))


def with_notes(numbers: Numbers, table: ReportTable) -> ReportTable:
    """The table with a note below it that says what its marks mean, where it has any."""
    if not any(FEW in cell.main + cell.beside for row in table.rows for cell in row[1:]):
        return table
    few = {row["title"]: row["few_sources"] for row in numbers["scores"] if row["few_sources"]}
    named = ", ".join(f"{title}: {number}" for title, number in few.items())
    note = (
        f"{FEW} Questions share fewer than {FEWEST_SOURCES} sources{f' ({named})' if named else ''}, too few to "
        "resample: they are taken as independent, and the interval may be too narrow."
    )
    return replace(table, notes=(*table.notes, note))


# -- looking up --------------------------------------------------------------------------------------------------------


def find(rows: Iterable[Row], **wanted: Any) -> Row | None:
    """The first row with these values."""
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)


def is_papers_average(numbers: Numbers, base: str) -> bool:
    """Whether a base model's averages are over the paper's benchmarks, all of them and no others."""
    columns = {row["benchmark"]: row["paper_column"] for row in numbers["scores"]}
    return {columns[name] for name in numbers["averaged"][base]} == set(numbers["paper"]["columns"])


def lengths_title(numbers: Numbers, base: str) -> str:
    """Of which benchmarks the lengths of a base model's answers are."""
    names = numbers["length_benchmarks"][base]
    titles = {row["benchmark"]: row["title"] for row in numbers["scores"]}
    return titles[names[0]] if len(names) == 1 else "all benchmarks"


def title(numbers: Numbers, variant: str) -> str:
    """A variant as people call it; an ablation by the scenarios that it keeps."""
    kept = numbers["ablations"].get(variant, ())
    return ", ".join(numbers["scenario_titles"][name] for name in kept) or TITLES.get(variant, variant)


def added_title(numbers: Numbers, row: Row) -> str:
    """The scenarios that an ablation leaves out, of a row of `numbers["scenarios"]`."""
    return " and ".join(numbers["scenario_titles"][name] for name in row["added"])


# -- numbers as words --------------------------------------------------------------------------------------------------


def percent(share: float | None) -> str:
    """`51.3`"""
    return NOTHING if share is None else f"{100 * share:.1f}"


def points(share: float | None) -> str:
    """`+5.3`"""
    return NOTHING if share is None else f"{100 * share:+.1f}".replace("-", "−")


def whole(number: float | None) -> str:
    """`19,000`"""
    return NOTHING if number is None else f"{number:,.0f}"


def dollars(amount: float | None) -> str:
    """`0.0123`; `0` where nothing has a price."""
    return NOTHING if amount is None else f"{amount:.4f}" if amount else "0"


def p_value(p: float) -> str:
    """`0.013`; `< 0.001`"""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def between(row: Row | None, shown: Callable[[float | None], str] = percent) -> str:
    """`48.0 to 54.1`; empty where there is no interval."""
    return "" if row is None or row["low"] is None else f"{shown(row['low'])} to {shown(row['high'])}"


def seeds_between(row: Row, shown: Callable[[float | None], str] = percent) -> str:
    """`3 seeds: 49.8 to 52.0`, the lowest and the highest; empty for one training seed."""
    several = row.get("seeds", 1) > 1
    return f"{row['seeds']} seeds: {shown(row['lowest'])} to {shown(row['highest'])}" if several else ""


def interval_cell(row: Row | None, name: str, shown: Callable[[float | None], str] = percent) -> TableCell:
    """A value with its interval, marked where its questions share few sources, and its training seeds."""
    if row is None:
        return TableCell(NOTHING)
    interval = between(row, shown)
    mark = f" {FEW}" if interval and row["few_sources"] else ""
    return TableCell(shown(row[name]), interval + mark, seeds_between(row, shown))


def difference_cell(row: Row | None) -> TableCell:
    """A difference in points with its interval and training seeds."""
    return interval_cell(row, "difference", points)
