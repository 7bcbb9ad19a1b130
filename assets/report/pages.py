"""The report as a page and as Markdown: sections of sentences, plots and tables, filled into the templates.

What a model wrote is shown escaped. The page contains its style and plots and loads nothing. Its one link leads to the
dialogue browser, from folder to folder within the lake: it works on a disk, and through a bucket or web server that
serves the lake. For readers of the page alone, the folder is named beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from assets.evaluation.schema import REASONS
from assets.framework.ui_metadata import quoted
from assets.report.coverage import missing_with_commands
from assets.report.data_tables import (
    bin_table,
    cost_table,
    error_table,
    excluded_table,
    length_table,
    partition_table,
)
from assets.report.findings import findings
from assets.report.formatting import (
    BASELINE_ROWS,
    MASK_ROWS,
    OTHER_FORMS,
    OTHER_ROWS,
    TITLES,
    Numbers,
    ReportTable,
    Row,
    is_papers_average,
    with_notes,
)
from assets.report.plots import averages_plot, benchmarks_plot, lengths_plot
from assets.report.score_tables import (
    averages_of,
    detail_table,
    exchange_table,
    further_table,
    mask_table,
    paper_table,
    pass_table,
    scenario_table,
    tests_table,
    variant_table,
)
from assets.report.scored_answers import OURS, SEEDS
from assets.training_sets.masks import MASKS
from resources.configuration import read_yaml
from resources.identity import stable_hash

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
SECTIONS = FOLDER / "sections.yaml"
FILLED_BY = ("pages", "coverage", "findings", "formatting", "score_tables", "data_tables", "plots")
SHOWN_CHARACTERS = 1200


@dataclass(frozen=True, slots=True)
class ReportContent:
    """What is shown."""

    id: str
    numbers: Numbers
    small: Sequence[str]  # why the run is too small to say anything about the method
    examples: Sequence[Row]  # see `inputs.examples`
    browser: str | None = None  # the dialogue browser's folder in the lake


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot and its caption."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()


def templates_version() -> str:
    """Hash of the templates and of what fills them."""
    files = [*sorted(TEMPLATES.glob("*.jinja")), SECTIONS, *(FOLDER / f"{name}.py" for name in FILLED_BY)]
    return stable_hash("report", [file.read_text(encoding="utf-8") for file in files])[:16]


def page(content: ReportContent) -> str:
    """The report as one HTML file that loads nothing."""
    return _render("report.html.jinja", content, with_plots=True)


def markdown(content: ReportContent) -> str:
    """The same as Markdown, without plots."""
    return _render("report.md.jinja", content, with_plots=False)


def _render(template: str, content: ReportContent, *, with_plots: bool) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.jinja", "css.jinja"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": in_markdown, "quoted": quoted}
    return environment.get_template(template).render(
        id=content.id,
        numbers=content.numbers,
        small=list(content.small),
        browser=content.browser,
        missing=missing_with_commands(content.numbers),
        findings=findings(content.numbers, content.small),
        sections=sections(content.numbers, content.examples, with_plots=with_plots),
    )


def in_markdown(text: str) -> str:
    """Text in a line or cell of Markdown: shown as it is, and does nothing."""
    return "\n".join(line.removeprefix("> ") for line in quoted(" ".join(str(text).split()), 2000).splitlines())


def sections(numbers: Numbers, examples: Sequence[Row], *, with_plots: bool) -> list[Section]:
    """All parts that have something to show, in order of interest."""
    bases = list(dict.fromkeys(row["base"] for row in numbers["scores"]))
    has_release = bool(numbers["release"])
    ablation_rows = (SEEDS, *numbers["ablations"], OURS)
    notes = {"baselines": [average_note(numbers)], "costs": [COST_NOTE]}
    plots: Mapping[str, Callable[[Numbers, str], str | None]] = {
        "benchmarks": benchmarks_plot,
        "baselines": averages_plot,
        "lengths": lengths_plot,
    }
    tables: Mapping[str, Sequence[ReportTable | None]] = {
        "benchmarks": [*(paper_table(numbers, base) for base in bases), tests_table(numbers)],
        "further": [*(further_table(numbers, base) for base in bases), pass_table(numbers)],
        "baselines": [
            table
            for base in bases
            for table in (
                variant_table(numbers, base, BASELINE_ROWS, "Average accuracy"),
                detail_table(numbers, base, BASELINE_ROWS),
            )
        ],
        "scenarios": [
            *(
                table
                for base in bases
                if numbers["ablations"]
                for table in (
                    variant_table(numbers, base, ablation_rows, "Average accuracy"),
                    detail_table(numbers, base, ablation_rows),
                )
            ),
            *(scenario_table(numbers, base) for base in bases),
        ],
        "masks": [
            table
            for base in bases
            for table in (
                averages_of(numbers, base, MASK_ROWS, MASKS, "Average accuracy"),
                mask_table(numbers, base),
            )
        ],
        "other_forms": [averages_of(numbers, base, OTHER_ROWS, OTHER_FORMS, "Average accuracy") for base in bases],
        "exchange": [exchange_table(numbers)],
        "lengths": [length_table(numbers), *(bin_table(numbers, base) for base in bases)],
        "errors": [error_table(numbers)] if has_release else [],
        "costs": [cost_table(numbers)] if has_release else [],
        "excluded": [excluded_table(numbers)],
        "scored": [partition_table(numbers)],
    }
    parts = [
        Section(
            name,
            about["heading"],
            (*about.get("text", ()), *notes.get(name, ())),
            _plots(numbers, bases, plots[name], about["plots"]) if with_plots and name in plots else (),
            tuple(with_notes(numbers, table) for table in tables.get(name, ()) if table is not None),
            tuple(_example(row) for row in examples) if name == "words" else (),
        )
        for name, about in read_yaml(SECTIONS).items()
    ]
    return [part for part in parts if part.tables or part.plots or part.examples]


def _plots(
    numbers: Numbers, bases: Sequence[str], draw: Callable[[Numbers, str], str | None], caption: str
) -> tuple[Plot, ...]:
    drawn = [(base, draw(numbers, base)) for base in bases]
    return tuple(Plot(Markup(svg), f"{base}: {caption}") for base, svg in drawn if svg)  # noqa: S704 - our own drawing


def average_note(numbers: Numbers) -> str:
    """What the averages are over, and whether they are comparable with the paper's."""
    titles = {row["benchmark"]: row["title"] for row in numbers["scores"]}
    notes = []
    for base, benchmarks in numbers["averaged"].items():
        if benchmarks:
            names = ", ".join(titles[name] for name in benchmarks)
            same = is_papers_average(numbers, base)
            beside = "the paper's seven" if same else "not the paper's seven, not to be compared with its averages"
            notes.append(f"{base}: averages are over {names}: {beside}.")
    return " ".join(notes)


COST_NOTE = (
    "Tokens are those of all calls that were kept, money is by the profile's prices, 0 where it gives none. Answers "
    "from the journal are counted once, whichever run paid; manifest.json says which did."
)


def _example(row: Row) -> Mapping[str, Any]:
    """An example with its texts cut to a readable length."""
    answers = [
        {
            "title": TITLES[variant],
            "verdict": row[f"verdict{suffix}"]
            + (f": {REASONS[row[f'reason{suffix}']]}" if row[f"reason{suffix}"] else ""),
            "text": _cut(row[f"output{suffix}"] or "no answer"),
        }
        for variant, suffix in zip(row["variants"], ("", "_second"), strict=True)
    ]
    return {
        "heading": f"{row['base']}, {row['benchmark']}, {row['item_id']}",
        "prompt": _cut(row["prompt"].rpartition("[user]\n")[2]),  # without worked examples
        "answers": answers,
    }


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"
