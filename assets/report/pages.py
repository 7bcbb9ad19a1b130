"""The report as a page and as Markdown: sections of sentences, plots and tables, filled into the templates.

What a model wrote is shown escaped. The page carries its style and plots with it and loads nothing. Its one link leads
to the dialogue browser, from folder to folder within the lake: it works on a disk, and through a bucket or web server
that shows the lake; for whoever has the page alone, the folder is named beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from assets.evaluation.schema import REASONS
from assets.framework.ui_metadata import quoted
from assets.report.evidence import Row
from assets.report.plots import averages_plot, benchmarks_plot, lengths_plot
from assets.report.sheets import (
    ABLATION_ROWS,
    BASELINE_ROWS,
    Sheet,
    bin_table,
    cost_table,
    error_table,
    exchange_table,
    excluded_table,
    findings,
    further_table,
    is_papers_average,
    length_table,
    noted,
    paper_table,
    partition_table,
    pass_table,
    scenario_table,
    tests_table,
    title,
    variant_table,
)
from resources.identity import stable_hash

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_CHARACTERS = 1200

Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot and what is said of it."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()


def templates_version() -> str:
    """Hash of the templates and of what fills them."""
    files = [
        *sorted(TEMPLATES.glob("*.jinja")),
        *(Path(__file__).with_name(f"{name}.py") for name in ("pages", "sheets", "plots")),
    ]
    return stable_hash("report", [file.read_text(encoding="utf-8") for file in files])[:16]


def page(
    report_id: str, numbers: Numbers, small: Sequence[str], examples: Sequence[Row], browser: str | None = None
) -> str:
    """The report as one HTML file that loads nothing. `browser` is the dialogue browser's folder in the lake."""
    return _render("report.html.jinja", True, report_id, numbers, small, examples, browser)


def markdown(
    report_id: str, numbers: Numbers, small: Sequence[str], examples: Sequence[Row], browser: str | None = None
) -> str:
    """The same as Markdown, without plots."""
    return _render("report.md.jinja", False, report_id, numbers, small, examples, browser)


def _render(
    template: str,
    is_html: bool,
    report_id: str,
    numbers: Numbers,
    small: Sequence[str],
    examples: Sequence[Row],
    browser: str | None,
) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.jinja", "css.jinja"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": in_markdown, "quoted": quoted}
    return environment.get_template(template).render(
        id=report_id,
        numbers=numbers,
        small=list(small),
        browser=browser,
        findings=findings(numbers, small),
        sections=sections(numbers, examples, with_plots=is_html),
    )


def in_markdown(text: str) -> str:
    """Text in a line or cell of Markdown: shown as it is, and does nothing."""
    return "\n".join(line.removeprefix("> ") for line in quoted(" ".join(str(text).split()), 2000).splitlines())


def sections(numbers: Numbers, examples: Sequence[Row], *, with_plots: bool) -> list[Section]:
    """All parts that have something to show, in order of interest."""
    bases = list(dict.fromkeys(row["base"] for row in numbers["scores"]))

    def plots(draw: Any, caption: str) -> tuple[Plot, ...]:
        drawn = [draw(numbers, base) for base in bases] if with_plots else []
        return tuple(Plot(Markup(one), f"{base}: {caption}") for base, one in zip(bases, drawn, strict=False) if one)  # noqa: S704 - our own drawing

    def made(tables: Sequence[Sheet | None]) -> tuple[Sheet, ...]:
        return tuple(noted(numbers, table) for table in tables if table is not None)

    parts = [
        Section(
            "benchmarks",
            "Table 1: the paper's benchmarks",
            (
                "Under each figure stands its 95 % interval and, where a model was tuned with several seeds, the "
                "lowest and the highest of them. A dash is what was not asked, or not given by the paper.",
            ),
            plots(
                benchmarks_plot,
                "accuracy on each benchmark that was asked. Overlapping intervals can hide a "
                "difference that the paired comparison sees.",
            ),
            made([*(paper_table(numbers, base) for base in bases), tests_table(numbers)]),
        ),
        Section(
            "further",
            "Table 2: further benchmarks",
            ("Other benchmarks that were asked; the paper's further multiple choice is among them where configured.",),
            sheets=made([further_table(numbers, base) for base in bases] + [pass_table(numbers)]),
        ),
        Section(
            "baselines",
            "Table 3: other ways to use the same seeds",
            (average_note(numbers),),
            plots(averages_plot, "average accuracy by what the model was tuned on."),
            made([variant_table(numbers, base, BASELINE_ROWS, "Average accuracy") for base in bases]),
        ),
        Section(
            "scenarios",
            "Table 4: which scenario helped",
            (
                "Each set has the rows of BOOST-QA for its scenarios and the original answers for the other seeds. So "
                "size and seeds are equal, but the fewer scenarios, the fewer dialogues: part of a difference may be "
                "their number, not their kind.",
            ),
            sheets=made(
                [variant_table(numbers, base, ABLATION_ROWS, "Average accuracy") for base in bases]
                + [scenario_table(numbers, base) for base in bases]
            ),
        ),
        Section(
            "exchange",
            "A second look: answer, review, corrected answer",
            sheets=made([exchange_table(numbers)]),
        ),
        Section(
            "lengths",
            "Length of the answers",
            (
                "The paper finds that models tuned on dialogues answer longer (50 to 300 tokens, those tuned on seeds "
                "up to 50), and better in every bin. Bins hold different questions: compare models, not lengths.",
            ),
            plots(lengths_plot, "share of the plain answers by length, and how many of these are right."),
            made([length_table(numbers), *(bin_table(numbers, base) for base in bases)]),
        ),
        Section(
            "errors",
            "Procedural errors",
            (
                "The paper's judge read all its data. Ours is by default asked only about dialogues that fail no rule, "
                "so its rate says what the rules let through; the last row of ours counts wrong results by rule too.",
            ),
            sheets=made([error_table(numbers)] if numbers["release"] else []),
        ),
        Section(
            "costs",
            "Cost of an accepted dialogue",
            (cost_note(numbers),),
            sheets=made([cost_table(numbers)] if numbers["release"] else []),
        ),
        Section("excluded", "What was excluded", sheets=made([excluded_table(numbers)])),
        Section(
            "words",
            "In the models' words",
            ("A question that only BOOST-QA's model answered rightly, and one that only the other did. No evidence.",),
            examples=tuple(_example(row) for row in examples),
        ),
        Section("scored", "What was scored, and how", METHOD_NOTES, sheets=made([partition_table(numbers)])),
    ]
    return [part for part in parts if part.sheets or part.plots or part.examples]


METHOD_NOTES = (
    "Accuracy counts answers that could not be read, and such that could not be had, as not right. Its interval is "
    "Wilson's over questions; where at least 20 sources are shared by questions (subjects, passages) it is a bootstrap "
    "over sources, or where these are nearly all alike Wilson's with as many trials as sources. With several answers a "
    "question counts by its share of right ones.",
    "Differences are paired: the same questions, asked in the same words. With one answer a question the test is "
    "McNemar's exact one and the interval Bonett and Price's; with shared sources or several answers both are of a "
    "paired bootstrap (2,000 draws, seeded by what is compared), or where nearly all of what would be resampled is "
    "alike Bonett and Price's interval over it and the test that belongs to it. Averages weigh benchmarks equally; "
    "their intervals combine those of the benchmarks (MOVER), and their tests belong to these intervals.",
    "Corrected p-values are Holm's over all tests of one table and its kind: many tests find something by chance. None "
    "is told as less than a millionth.",
    "One training seed says nothing of how much another would differ. Where a base model was tuned with several, "
    "figures are means over them, and so is each question's part in a comparison, which is one test and not several; "
    "beside stand the lowest and the highest seed (of a difference, of the seeds that both sides have). Intervals are "
    "over questions alone, for the seeds that were trained.",
)


def average_note(numbers: Numbers) -> str:
    """What the averages are over, and whether they can stand beside the paper's."""
    titles = {row["benchmark"]: row["title"] for row in numbers["scores"]}
    said = []
    for base, benchmarks in numbers["averaged"].items():
        if not benchmarks:
            continue
        names = ", ".join(titles[name] for name in benchmarks)
        same = is_papers_average(numbers, base)
        beside = "the paper's seven" if same else "not the paper's seven, not to be compared with its averages"
        said.append(f"{base}: averages are over {names}: {beside}.")
    return " ".join(said)


def cost_note(numbers: Numbers) -> str:
    """What the cost counts."""
    replayed = next((row["replayed"] for row in numbers["costs"] if row["scenario"] == "all"), 0)
    note = "Tokens are those of all calls that were kept, money is by the profile's prices, 0 where it gives none."
    return (
        f"{note} {replayed:,.0f} calls came from the journal; their money was counted by the run that paid."
        if replayed
        else note
    )


def _example(row: Row) -> Mapping[str, Any]:
    """An example with its texts cut to a readable length."""
    said = [
        {
            "title": title(variant),
            "verdict": row[f"verdict{suffix}"]
            + (f": {REASONS[row[f'reason{suffix}']]}" if row[f"reason{suffix}"] else ""),
            "text": _cut(row[f"output{suffix}"] or "no answer"),
        }
        for variant, suffix in zip(row["variants"], ("", "_second"), strict=True)
    ]
    return {
        "heading": f"{row['base']}, {row['benchmark']}, {row['item_id']}",
        "prompt": _cut(row["prompt"].rpartition("[user]\n")[2]),  # without worked examples
        "said": said,
    }


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"
