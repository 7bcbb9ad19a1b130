"""What the UI shows: column schemas, small tables, samples as safe Markdown, plots as pictures."""

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from dagster import (
    MarkdownMetadataValue,
    MetadataValue,
    PathMetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
)

from resources.lake.records import Gate
from resources.lake.store import Store
from resources.lake.tables import Table
from resources.outside_text import without_links

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_COUNT = "dagster/partition_row_count"  # Dagster's own key
# An underscore between letters or digits marks nothing: CommonMark's rules of left- and right-flanking delimiters.
MARKS = re.compile(r"[\\`*{}\[\]#|~!$@]|_(?!(?<=[^\W_]_)[^\W_])|(?<=:)//")
LONGEST_CELL = 120  # characters
LIST_OR_HEADING = re.compile(r"^\s*(?:\d+(?=[.)](?:\s|$))|(?=[-+=](?:[\s=-]|$)))")  # up to the mark that makes it one
# Okabe and Ito's palette: colour-blind readers can distinguish its colours too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")


def column_schema(table: Table) -> dict[str, Any]:
    """Definition metadata of the asset that makes `table`: its columns, types and descriptions."""
    columns = [
        TableColumn(
            name=name,
            type=_type_name(column.dtype.type),
            description=column.description,
            constraints=TableColumnConstraints(nullable=column.nullable, unique=name in (table.schema.unique or [])),
        )
        for name, column in table.schema.columns.items()
    ]
    return {"dagster/column_schema": TableSchema(columns=columns), "dagster/table_name": table.name}


def _type_name(dtype: pl.DataType) -> str:
    return str(dtype) if len(str(dtype)) < 30 else str(dtype).split("(")[0]


def quoted(text: str, limit: int = 2000) -> str:
    """Untrusted text as Markdown that shows it and does nothing: escaped, in a quotation, cut at `limit`."""
    cut = text if len(text) <= limit else text[:limit] + " …"
    return "\n".join(f"> {escaped_line(line)}" for line in cut.splitlines()) or "> "


def escaped_line(line: str) -> str:
    """One line of untrusted text as Markdown that shows it: no tags, marks, links, lists, headings or indented code."""
    escaped = MARKS.sub(r"\\\g<0>", html.escape(without_links(line), quote=False))
    opened = LIST_OR_HEADING.sub(r"\g<0>\\", escaped)
    text = opened.lstrip()
    return "&nbsp;" * (len(opened.expandtabs(4)) - len(text.expandtabs(4))) + text


def table_markdown(
    rows: Sequence[Mapping[str, Any]], limit: int = 12, longest: int = LONGEST_CELL
) -> MarkdownMetadataValue:
    """A small Markdown table; cells are escaped, and cut at `longest` characters.

    Keep it to three short columns: the UI is narrow.
    """
    if not rows:
        return MetadataValue.md("none")
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |"]
    lines += ["| " + " | ".join(_cell(row[name], longest) for name in names) + " |" for row in rows[:limit]]
    if len(rows) > limit:
        lines.append(f"\n… and {len(rows) - limit} more")
    return MetadataValue.md("\n".join(lines))


def counts_markdown(
    what: str, unit: str, counts: Mapping[str, int] | Iterable[tuple[Any, int]]
) -> MarkdownMetadataValue:
    """A table of counts by name; `what` and `unit` are the headings of names and counts."""
    pairs = counts.items() if isinstance(counts, Mapping) else counts
    return table_markdown([{what: name, unit: count} for name, count in pairs])


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2,000 seeds`, `3 batches`"""
    return f"{number:,} {noun}{'' if number == 1 else 'es' if noun.endswith('ch') else 's'}"


def sample_markdown(*parts: tuple[str, str], limit: int = 800) -> MarkdownMetadataValue:
    """A dialogue, a seed or an answer: each part is a heading and an untrusted text, cut at `limit` characters."""
    shown = [f"**{heading}**\n\n{quoted(text, limit)}" for heading, text in parts]
    return MetadataValue.md("\n\n".join(shown) or "none")


def stored_at(store: Store, path: str) -> PathMetadataValue:
    """The full address of a file or folder of the lake; the UI shows it with a button that copies it."""
    return MetadataValue.path(store.uri(path))


def gate_metadata(gate: Gate, reason: str) -> str:
    """Whether a partition's own gate passed; `reason` is shown where it failed."""
    return gate if gate == "passed" else f"{gate}: {reason}"


def _cell(value: Any, longest: int) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return quoted(" ".join(str(value).split()), longest).removeprefix("> ")


def picture(figure: "Figure", caption: str) -> MarkdownMetadataValue:
    """A matplotlib figure as a picture inside Markdown, which the UI renders. The figure is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode()
    return MetadataValue.md(f"![{caption}](data:image/png;base64,{data})")


def new_figure(width: float = 6.4, height: float = 3.2) -> "Figure":
    """A figure that no window system knows of, in the project's look. Size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
