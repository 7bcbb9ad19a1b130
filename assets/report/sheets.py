"""The report's tables and sentences: numbers as words, for the page and its Markdown alike.

Everything is shown in percent and percentage points; what is not there is shown as a dash.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.evaluation.statistics import FEWEST_SOURCES
from assets.framework.partitions import UNTUNED
from assets.report.numbers import BASELINES, OURS, SEEDS, unseen
from assets.training_sets.ablations import ABLATIONS

NOTHING = "–"
FEW = "†"  # marks intervals that take questions for independent although they share sources
LEVEL = 0.05
TITLES = {
    UNTUNED: "untuned",
    SEEDS: "original answers",
    OURS: "BOOST-QA",
    "random_aug": "RandomAug",
    "spelling_aug": "SpellingAug",
    "tagcos": "TAGCOS",
    "cot_collection": "CoT Collection",
    "cot": "chain of thought (ours)",
    "me": "error correction",
    "db": "debate",
    "ep": "analogy",
    "me_db": "error correction, debate",
    "me_ep": "error correction, analogy",
    "db_ep": "debate, analogy",
}
SCENARIO_TITLES = {"error_correction": "error correction", "debate": "debate", "analogy": "analogy"}

Row = Mapping[str, Any]
Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and, smaller, what is said of it: its interval, and its spread over training seeds."""

    main: str
    beside: str = ""
    seeds: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table; its first column names the rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: tuple[str, ...] = ()  # columns that hold words, not numbers
    notes: tuple[str, ...] = ()  # below it


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


def between(row: Row | None, shown: Callable[[float | None], str] = percent) -> str:
    """`48.0 to 54.1`; empty where there is no interval."""
    return "" if row is None or row["low"] is None else f"{shown(row['low'])} to {shown(row['high'])}"


def seeds_between(row: Row, shown: Callable[[float | None], str] = percent) -> str:
    """`3 seeds: 49.8 to 52.0`, the lowest and the highest; empty for one training seed."""
    several = row.get("seeds", 1) > 1
    return f"{row['seeds']} seeds: {shown(row['lowest'])} to {shown(row['highest'])}" if several else ""


def marked(row: Row | None, shown: Callable[[float | None], str] = percent) -> str:
    """An interval, with a mark where its questions share few sources; empty where there is none."""
    interval = between(row, shown)
    return f"{interval} {FEW}" if row and interval and row["few_sources"] else interval


def p_value(p: float) -> str:
    """`0.013`; `< 0.001`"""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def share_cell(row: Row | None, name: str) -> Cell:
    """A share with its interval and seeds."""
    return Cell(percent(row[name]), marked(row), seeds_between(row)) if row else Cell(NOTHING)


def difference_cell(row: Row | None) -> Cell:
    """A difference with its interval and seeds."""
    if row is None:
        return Cell(NOTHING)
    return Cell(points(row["difference"]), marked(row, points), seeds_between(row, points))


def find(rows: Iterable[Row], **wanted: Any) -> Row | None:
    """The first row with these values."""
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)


def is_papers_average(numbers: Numbers, base: str) -> bool:
    """Whether a base model's averages are over the paper's benchmarks, all of them and no others."""
    columns = {row["benchmark"]: row["paper_column"] for row in numbers["scores"]}
    return {columns[name] for name in numbers["averaged"][base]} == set(numbers["paper"]["columns"])


def subtracted(figures: Mapping[str, float], others: Mapping[str, float], name: str) -> float | None:
    """The difference of two of the paper's figures."""
    return figures[name] - others[name] if name in figures and name in others else None


def noted(numbers: Numbers, sheet: Sheet) -> Sheet:
    """The table with a note below it that says what its marks mean, where it has any."""
    if not any(FEW in cell.main + cell.beside for row in sheet.rows for cell in row[1:]):
        return sheet
    few = {row["title"]: row["few_sources"] for row in numbers["scores"] if row["few_sources"]}
    named = ", ".join(f"{title}: {number}" for title, number in few.items())
    said = (
        f"{FEW} Questions share fewer than {FEWEST_SOURCES} sources{f' ({named})' if named else ''}, too few to "
        "resample: they are taken as independent, and the interval may be too narrow."
    )
    return replace(sheet, notes=(*sheet.notes, said))


# -- tables ------------------------------------------------------------------------------------------------------------

COMPARED = (UNTUNED, SEEDS, OURS)


def paper_table(numbers: Numbers, base: str) -> Sheet:
    """Table 1: the paper's benchmarks and their average, untuned, on the seeds, on BOOST-QA."""
    paper, beside = numbers["paper"]["figures"][base], numbers["paper"]["beside"][base]
    seeds, ours = paper.get(SEEDS, {}), paper.get(OURS, {})
    by_column = {
        row["paper_column"]: row["benchmark"]
        for row in numbers["scores"]
        if row["base"] == base and row["paper_column"]
    }
    rows = []
    for column in numbers["paper"]["columns"]:
        cells = benchmark_cells(numbers, base, by_column.get(column))
        rows.append((Cell(column), *cells, *paper_cells(seeds, ours, column)))
    if set(numbers["averaged"][base]) == set(by_column.values()) and by_column:
        rows.append((Cell("average"), *average_cells(numbers, base), *paper_cells(seeds, ours, "average")))
    else:
        rows.append((Cell("average"), *[Cell(NOTHING)] * 4, *paper_cells(seeds, ours, "average")))
    return Sheet(
        f"Accuracy in percent of {base} on the paper's benchmarks; paper: {beside}",
        (
            "benchmark",
            *map(title, COMPARED),
            "BOOST-QA − original",
            "paper, original",
            "paper, BOOST-QA",
            "paper, difference",
        ),
        tuple(rows),
    )


def further_table(numbers: Numbers, base: str) -> Sheet | None:
    """Table 2: the benchmarks that the paper's first table has not; None where none was asked."""
    columns = numbers["paper"]["columns"]
    named = {
        row["benchmark"]: row["title"]
        for row in numbers["scores"]
        if row["base"] == base and row["stage"] == "plain" and row["paper_column"] not in columns
    }
    if not named:
        return None
    rows = [(Cell(shown), *benchmark_cells(numbers, base, name)) for name, shown in named.items()]
    if set(numbers["averaged"][base]) == set(named):
        rows.append((Cell("average"), *average_cells(numbers, base)))
    return Sheet(
        f"Accuracy in percent of {base} on further benchmarks",
        ("benchmark", *map(title, COMPARED), "BOOST-QA − original"),
        tuple(rows),
    )


def benchmark_cells(numbers: Numbers, base: str, benchmark: str | None) -> list[Cell]:
    """Accuracies of the three variants and the difference."""
    scores = [
        find(numbers["scores"], base=base, variant=variant, benchmark=benchmark, stage="plain") for variant in COMPARED
    ]
    compared = find(numbers["by_benchmark"], base=base, benchmark=benchmark)
    return [*(share_cell(row, "accuracy") for row in scores), difference_cell(compared)]


def average_cells(numbers: Numbers, base: str) -> list[Cell]:
    """The same of the averages."""
    found = [find(numbers["averages"], base=base, variant=variant) for variant in COMPARED]
    compared = find(numbers["by_variant"], base=base, variant=OURS)
    return [*(share_cell(row, "average") for row in found), difference_cell(compared)]


def paper_cells(seeds: Mapping[str, float], ours: Mapping[str, float], name: str) -> list[Cell]:
    """The paper's figures for the seeds, BOOST-QA, and their difference."""
    return [Cell(percent(seeds.get(name))), Cell(percent(ours.get(name))), Cell(points(subtracted(ours, seeds, name)))]


def variant_table(numbers: Numbers, base: str, variants: Sequence[str], caption: str) -> Sheet:
    """Tables 3 and 4: averages of variants and how they differ from the seeds' average, beside the paper's."""
    paper, sets = numbers["paper"]["figures"][base], {row["variant"]: row for row in numbers["training_sets"]}
    rows = []
    for variant in variants:
        compared = find(numbers["by_variant"], base=base, variant=variant)
        figures = paper.get(variant, {})
        rows.append(
            (
                Cell(title(variant)),
                Cell(whole(sets[variant]["rows"].get("train", 0)) if variant in sets else NOTHING),
                share_cell(find(numbers["averages"], base=base, variant=variant), "average"),
                Cell("") if variant == SEEDS else difference_cell(compared),
                Cell(p_value(compared["p_holm"]) if compared else "" if variant == SEEDS else NOTHING),
                Cell(percent(figures.get("average"))),
                Cell("" if variant == SEEDS else points(subtracted(figures, paper.get(SEEDS, {}), "average"))),
            )
        )
    beside = numbers["paper"]["beside"][base]
    columns = ("tuned on", "rows", "average", "− original", "p, corrected", f"paper, {beside}", "paper, − original")
    return Sheet(f"{caption}, {base}, in percent", columns, tuple(rows))


def scenario_table(numbers: Numbers, base: str) -> Sheet | None:
    """What the scenarios add that an ablation leaves out; None without any."""
    rows = [row for row in numbers["scenarios"] if row["base"] == base]
    if not rows:
        return None
    return Sheet(
        f"What scenarios add to the others, {base}: all three against those without them, in points",
        ("added", "to", "difference", "p, corrected"),
        tuple(
            (
                Cell(" and ".join(SCENARIO_TITLES[name] for name in row["added"])),
                Cell(title(row["against"])),
                difference_cell(row),
                Cell(p_value(row["p_holm"])),
            )
            for row in rows
        ),
        ("to",),
    )


def tests_table(numbers: Numbers) -> Sheet | None:
    """Every paired comparison of BOOST-QA with the seeds; None without any."""
    rows = numbers["by_benchmark"]
    if not rows:
        return None
    titles = {row["benchmark"]: row["title"] for row in numbers["scores"]}
    return Sheet(
        "BOOST-QA against the original answers, question by question",
        (
            "base, benchmark",
            "questions",
            "BOOST-QA better on",
            "original better on",
            "difference",
            "test",
            "p",
            "p, corrected",
        ),
        tuple(
            (
                Cell(f"{row['base']}, {titles[row['benchmark']]}"),
                *(Cell(whole(row[name])) for name in ("items", "better_on", "worse_on")),
                difference_cell(row),
                Cell(row["test"]),
                Cell(p_value(row["p"])),
                Cell(p_value(row["p_holm"])),
            )
            for row in rows
        ),
        ("test",),
    )


def exchange_table(numbers: Numbers) -> Sheet | None:
    """The answer after a review against the plain one; None where nothing was asked so."""
    if not numbers["exchange"]:
        return None
    rows = []
    for row in numbers["exchange"]:
        key = {name: row[name] for name in ("base", "variant", "benchmark")}
        plain, after = (find(numbers["scores"], **key, stage=stage) for stage in ("plain", "exchange"))
        rows.append(
            (
                Cell(f"{row['base']}, {title(row['variant'])}, {plain['title'] if plain else ''}"),
                share_cell(plain, "accuracy"),
                share_cell(after, "accuracy"),
                difference_cell(row),
                Cell(p_value(row["p_holm"])),
            )
        )
    columns = ("base, tuned on, benchmark", "plain", "after a review", "difference", "p, corrected")
    return Sheet("The plain answer and the answer after a review, in percent", columns, tuple(rows))


def pass_table(numbers: Numbers) -> Sheet | None:
    """pass@k of code, and the spread between several answers; None where each question has one answer."""
    rows = [row for row in numbers["scores"] if row["samples"] > 1]
    if not rows:
        return None
    return Sheet(
        "Several answers a question, in percent",
        ("base, tuned on, benchmark", "answers", "mean accuracy", "deviation between samples", "pass@k"),
        tuple(
            (
                Cell(f"{row['base']}, {title(row['variant'])}, {row['title']}, {row['stage']}"),
                Cell(whole(row["samples"])),
                share_cell(row, "accuracy"),
                Cell(percent(row["over_samples"])),
                Cell(
                    "; ".join(
                        f"{one['k']}: {percent(one['share'])} ({between(one)}{f' {FEW}' if row['few_sources'] else ''})"
                        for one in row["pass_at"]
                    )
                    or NOTHING
                ),
            )
            for row in rows
        ),
    )


def length_table(numbers: Numbers) -> Sheet:
    """Tokens of the answers."""
    return Sheet(
        "Length of the plain answers in tokens",
        ("base, tuned on", "answers", "median", "nine in ten at most", "mean", "cut off, %"),
        tuple(
            (
                Cell(f"{row['base']}, {title(row['variant'])}"),
                *(Cell(whole(row[name])) for name in ("answers", "median", "nine_in_ten", "mean")),
                Cell(percent(row["cut_off"])),
            )
            for row in numbers["lengths"]
        ),
    )


def bin_table(numbers: Numbers, base: str) -> Sheet:
    """Share and accuracy by length, of the three variants."""
    rows = [row for row in numbers["length_bins"] if row["base"] == base]
    variants = [variant for variant in COMPARED if find(rows, variant=variant)]
    body = []
    for name in dict.fromkeys(row["bin"] for row in rows):
        cells = [Cell(name)]
        for variant in variants:
            row = find(rows, variant=variant, bin=name)
            cells += [Cell(percent(row["share"]) if row else NOTHING), share_cell(row, "accuracy")]
        body.append(tuple(cells))
    columns = [f"{title(variant)}, {what}" for variant in variants for what in ("of the answers", "right")]
    return Sheet(f"Answers of {base} by length, in percent", ("tokens", *columns), tuple(body))


def error_table(numbers: Numbers) -> Sheet:
    """Procedural errors."""
    return Sheet(
        "Procedural errors in the dialogues, in percent",
        ("what", "errors", "of", "share"),
        tuple(
            (Cell(row["what"]), Cell(whole(row["errors"])), Cell(whole(row["of"])), share_cell(row, "share"))
            for row in numbers["errors"]
        ),
    )


def cost_table(numbers: Numbers) -> Sheet:
    """Tokens and money for a dialogue that is accepted."""
    return Sheet(
        "What a dialogue took, the rejected ones included",
        (
            "scenario",
            "dialogues",
            "accepted",
            "tokens",
            "judge's tokens",
            "tokens an accepted",
            "US dollars an accepted",
        ),
        tuple(
            (
                Cell(SCENARIO_TITLES.get(row["scenario"], row["scenario"])),
                *(
                    Cell(whole(row[name]))
                    for name in ("dialogues", "accepted", "tokens", "judge_tokens", "tokens_an_accepted")
                ),
                Cell(dollars(row["cost_an_accepted"])),
            )
            for row in numbers["costs"]
        ),
    )


def excluded_table(numbers: Numbers) -> Sheet | None:
    """What does not count."""
    rows = tuple((Cell(row["what"]), Cell(row["why"]), Cell(whole(row["number"]))) for row in numbers["excluded"])
    return Sheet("What was excluded, and why", ("what", "why", "how many"), rows, ("why",)) if rows else None


def partition_table(numbers: Numbers) -> Sheet:
    """What was compared."""
    return Sheet(
        "What was scored",
        ("base, tuned on", "benchmarks", "checkpoint", "training set", "rows", "release"),
        tuple(
            (
                Cell(
                    f"{row['base']}, {title(row['variant'])}"
                    + ("" if row["of"] == row["base"] else f" (a seed of {row['of']})")
                ),
                *(Cell(row[name] or NOTHING) for name in ("benchmarks", "checkpoint", "training_set")),
                Cell(whole(row["rows"])),
                Cell(row["release"] or NOTHING),
            )
            for row in numbers["partitions"]
        ),
        ("benchmarks", "checkpoint", "training set", "release"),
    )


def title(variant: str) -> str:
    """A variant as people call it."""
    return TITLES.get(variant, variant)


BASELINE_ROWS = (UNTUNED, SEEDS, *BASELINES, OURS)
ABLATION_ROWS = (SEEDS, *ABLATIONS, OURS)


# -- sentences ---------------------------------------------------------------------------------------------------------


def findings(numbers: Numbers, small: Sequence[str]) -> list[str]:
    """What the comparisons say, a sentence a base model, and which scenarios helped, where ablations were scored.

    Args:
        numbers: of the report.
        small: why the run says nothing about the method; then nothing is concluded.
    """
    said = []
    for base in numbers["bases"]:
        row = find(numbers["by_variant"], base=base, variant=OURS)
        if row is None:
            said.append(f"{base}: BOOST-QA and the original answers cannot be compared yet; see what is missing.")
            continue
        over = "on one benchmark" if row["benchmarks"] == 1 else f"on average over {row['benchmarks']} benchmarks"
        told = f"{points(row['difference'])} points ({between(row, points)}) {over}, {whole(row['items'])} questions"
        told += f", mean over {seeds}" if (seeds := seeds_between(row, points)) else ""
        verdict = "At this size that says nothing." if small else _verdict(row, numbers["paper"]["smallest_gain"])
        said.append(f"{base}: BOOST-QA against the original answers: {told}. {verdict}")
        if not small:
            said.append(f"{base}: {_scenarios([one for one in numbers['scenarios'] if one['base'] == base])}")
    return said


def _verdict(row: Row, gain: float) -> str:
    sure = row["p_holm"] < LEVEL
    if row["low"] > 0:
        return "It helped." if sure else "It seems to have helped, but not beyond doubt after correction."
    if row["high"] < 0:
        return "It did harm." if sure else "It seems to have done harm, but not beyond doubt after correction."
    if unseen(row, gain):
        return f"No difference can be told, nor could a gain as small as the paper's smallest ({points(gain)}) be."
    return "No difference can be told."


def _scenarios(rows: Sequence[Row]) -> str:
    if not rows:
        return "which scenario helped is not known, for no ablation was scored."
    clear = [
        f"{' and '.join(SCENARIO_TITLES[name] for name in row['added'])} added to {title(row['against'])} "
        f"({between(row, points)} points)"
        for row in rows
        if row["low"] > 0 and row["p_holm"] < LEVEL
    ]
    return (
        f"these helped: {'; '.join(clear)}." if clear else "no scenario can be told to have helped beside the others."
    )
