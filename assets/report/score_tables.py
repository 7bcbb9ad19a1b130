"""The report's tables of accuracy, differences and tests."""

from collections.abc import Collection, Mapping, Sequence

from assets.report.formatting import (
    COMPARED,
    FEW,
    NOTHING,
    TITLES,
    Numbers,
    ReportTable,
    Row,
    TableCell,
    added_title,
    between,
    difference_cell,
    find,
    interval_cell,
    p_value,
    percent,
    points,
    report_table,
    title,
    whole,
)
from assets.report.scored_answers import OURS, SEEDS

OURS_AGAINST_SEEDS = "BOOST-QA − original"


def paper_table(numbers: Numbers, base: str) -> ReportTable | None:
    """Table 1: the paper's benchmarks and their average, of three variants; None where none was asked."""
    paper, beside = numbers["paper"]["figures"][base], numbers["paper"]["beside"][base]
    seeds, ours = paper.get(SEEDS, {}), paper.get(OURS, {})
    by_column = {
        row["paper_column"]: row["benchmark"]
        for row in numbers["scores"]
        if row["base"] == base and row["paper_column"] in numbers["paper"]["columns"]
    }
    if not by_column:
        return None
    has_average = set(numbers["averaged"][base]) == set(by_column.values())
    average = _average_cells(numbers, base) if has_average else [TableCell(NOTHING)] * (len(COMPARED) + 1)
    rows = [
        (column, *_benchmark_cells(numbers, base, by_column.get(column)), *_paper_cells(seeds, ours, column))
        for column in numbers["paper"]["columns"]
    ]
    return report_table(
        f"Accuracy in percent of {base} on the paper's benchmarks; paper: {beside}",
        (
            "benchmark",
            *(TITLES[variant] for variant in COMPARED),
            OURS_AGAINST_SEEDS,
            "paper, original",
            "paper, BOOST-QA",
            "paper, difference",
        ),
        [*rows, ("average", *average, *_paper_cells(seeds, ours, "average"))],
    )


def further_table(numbers: Numbers, base: str) -> ReportTable | None:
    """Table 2: the benchmarks that the paper's first table has not, and gains on its further multiple choice.

    None where none was asked.
    """
    columns = numbers["paper"]["columns"]
    named = {
        row["benchmark"]: row["title"]
        for row in numbers["scores"]
        if row["base"] == base and row["stage"] == "plain" and row["paper_column"] not in columns
    }
    if not named:
        return None
    rows = [(shown, *_benchmark_cells(numbers, base, name)) for name, shown in named.items()]
    if set(numbers["averaged"][base]) == set(named):
        rows.append(("average", *_average_cells(numbers, base)))
    return report_table(
        f"Accuracy in percent of {base} on further benchmarks",
        ("benchmark", *(TITLES[variant] for variant in COMPARED), OURS_AGAINST_SEEDS, "paper, difference"),
        [*((*row, NOTHING) for row in rows), *_gain_rows(numbers, base)],
    )


def _gain_rows(numbers: Numbers, base: str) -> list[tuple[str, ...]]:
    """The best and the mean gain over the paper's further multiple choice, beside the paper's; none if not asked."""
    further = numbers["paper"]["further"]
    asked = {row["benchmark"] for row in numbers["scores"] if row["paper_column"] in further["columns"]}
    if not asked:
        return []
    gains = [row["difference"] for row in numbers["by_benchmark"] if row["base"] == base and row["benchmark"] in asked]
    over = f"further multiple choice, {len(gains)} of {len(further['columns'])}"
    best, mean = (max(gains), sum(gains) / len(gains)) if gains else (None, None)
    dashes = [NOTHING] * len(COMPARED)
    return [
        (f"best gain, {over}", *dashes, points(best), points(further["best_gain"])),
        (f"mean gain, {over}", *dashes, points(mean), points(further["mean_gain"])),
    ]


def _benchmark_cells(numbers: Numbers, base: str, benchmark: str | None) -> list[TableCell]:
    """Accuracies of the three variants and the difference."""
    scores = [
        find(numbers["scores"], base=base, variant=variant, benchmark=benchmark, stage="plain") for variant in COMPARED
    ]
    compared = find(numbers["by_benchmark"], base=base, benchmark=benchmark)
    return [*(interval_cell(row, "accuracy") for row in scores), difference_cell(compared)]


def _average_cells(numbers: Numbers, base: str) -> list[TableCell]:
    """The same of the averages."""
    found = [find(numbers["averages"], base=base, variant=variant) for variant in COMPARED]
    compared = find(numbers["by_variant"], base=base, variant=OURS)
    return [*(interval_cell(row, "average") for row in found), difference_cell(compared)]


def _paper_cells(seeds: Mapping[str, float], ours: Mapping[str, float], name: str) -> list[str]:
    """The paper's figures for the seeds, BOOST-QA, and their difference."""
    return [percent(seeds.get(name)), percent(ours.get(name)), points(_subtracted(ours, seeds, name))]


def _subtracted(figures: Mapping[str, float], others: Mapping[str, float], name: str) -> float | None:
    return figures[name] - others[name] if name in figures and name in others else None


def variant_table(numbers: Numbers, base: str, variants: Sequence[str], caption: str) -> ReportTable:
    """Tables 3 and 4: averages of variants and how they differ from the seeds' average, beside the paper's."""
    paper, beside = numbers["paper"]["figures"][base], numbers["paper"]["beside"][base]

    def row(variant: str) -> tuple[TableCell | str, ...]:
        training_set = find(numbers["training_sets"], variant=variant)
        compared = find(numbers["by_variant"], base=base, variant=variant)
        figures, is_seeds = paper.get(variant, {}), variant == SEEDS
        return (
            title(numbers, variant),
            whole(training_set["rows"].get("train", 0)) if training_set else NOTHING,
            interval_cell(find(numbers["averages"], base=base, variant=variant), "average"),
            "" if is_seeds else difference_cell(compared),
            p_value(compared["p_holm"]) if compared else "" if is_seeds else NOTHING,
            percent(figures.get("average")),
            "" if is_seeds else points(_subtracted(figures, paper.get(SEEDS, {}), "average")),
        )

    columns = ("tuned on", "rows", "average", "− original", "p, corrected", f"paper, {beside}", "paper, − original")
    return report_table(f"{caption}, {base}, in percent", columns, map(row, variants))


def averages_of(
    numbers: Numbers, base: str, variants: Sequence[str], needed: Collection[str], caption: str
) -> ReportTable | None:
    """What `variant_table` gives of the variants that were scored; None where none of the `needed` ones was."""
    scored = [variant for variant in variants if find(numbers["averages"], base=base, variant=variant)]
    return variant_table(numbers, base, scored, caption) if set(scored) & set(needed) else None


def detail_table(numbers: Numbers, base: str, variants: Sequence[str]) -> ReportTable | None:
    """Accuracy of variants on each of the paper's benchmarks, the paper's below ours; None where none was asked."""
    paper, beside = numbers["paper"]["figures"][base], numbers["paper"]["beside"][base]
    columns = numbers["paper"]["columns"]
    if not any(row["base"] == base and row["paper_column"] in columns for row in numbers["scores"]):
        return None

    def cell(variant: str, column: str) -> TableCell:
        row = find(numbers["scores"], base=base, variant=variant, paper_column=column, stage="plain")
        published = paper.get(variant, {}).get(column)
        return TableCell(percent(row["accuracy"] if row else None), f"paper {100 * published:.2f}" if published else "")

    def row(variant: str) -> list[TableCell | str]:
        return [title(numbers, variant), *(cell(variant, column) for column in columns)]

    caption = f"Accuracy in percent of {base} on each of the paper's benchmarks; below it the paper's, {beside}"
    return report_table(caption, ("tuned on", *columns), map(row, variants))


def scenario_table(numbers: Numbers, base: str) -> ReportTable | None:
    """What the scenarios add that an ablation leaves out; None without any."""
    rows = [
        (
            added_title(numbers, row),
            title(numbers, row["against"]),
            difference_cell(row),
            p_value(row["p_holm"]),
        )
        for row in numbers["scenarios"]
        if row["base"] == base
    ]
    caption = f"What scenarios add to the others, {base}: all of them against those without the added ones, in points"
    return report_table(caption, ("added", "to", "difference", "p, corrected"), rows, ["to"]) if rows else None


def mask_table(numbers: Numbers, base: str) -> ReportTable | None:
    """Masks of BOOST-QA against its own loss; None without any."""
    rows = [
        (title(numbers, row["variant"]), difference_cell(row), p_value(row["p_holm"]))
        for row in numbers["masks"]
        if row["base"] == base
    ]
    caption = f"Loss on fewer turns against BOOST-QA, {base}, in points"
    return report_table(caption, ("tuned on", "− BOOST-QA", "p, corrected"), rows) if rows else None


def tests_table(numbers: Numbers) -> ReportTable | None:
    """Every paired comparison of BOOST-QA with the seeds; None without any."""
    titles = {row["benchmark"]: row["title"] for row in numbers["scores"]}
    rows = [
        (
            f"{row['base']}, {titles[row['benchmark']]}",
            *(whole(row[name]) for name in ("items", "better_on", "worse_on")),
            difference_cell(row),
            row["test"],
            p_value(row["p"]),
            p_value(row["p_holm"]),
        )
        for row in numbers["by_benchmark"]
    ]
    columns = (
        "base, benchmark",
        "questions",
        "BOOST-QA better on",
        "original better on",
        "difference",
        "test",
        "p",
        "p, corrected",
    )
    caption = "BOOST-QA against the original answers, question by question"
    return report_table(caption, columns, rows, ["test"]) if rows else None


def exchange_table(numbers: Numbers) -> ReportTable | None:
    """The answer after a review against the plain one; None where nothing was asked so."""

    def row(compared: Row) -> tuple[TableCell | str, ...]:
        key = {name: compared[name] for name in ("base", "variant", "benchmark")}
        plain, after = (find(numbers["scores"], **key, stage=stage) for stage in ("plain", "exchange"))
        return (
            f"{compared['base']}, {title(numbers, compared['variant'])}, {plain['title'] if plain else ''}",
            interval_cell(plain, "accuracy"),
            interval_cell(after, "accuracy"),
            difference_cell(compared),
            p_value(compared["p_holm"]),
        )

    columns = ("base, tuned on, benchmark", "plain", "after a review", "difference", "p, corrected")
    caption = "The plain answer and the answer after a review, in percent"
    return report_table(caption, columns, map(row, numbers["exchange"])) if numbers["exchange"] else None


def pass_table(numbers: Numbers) -> ReportTable | None:
    """pass@k of code, and the spread between several answers; None where each question has one answer."""

    def shares(row: Row) -> str:
        mark = f" {FEW}" if row["few_sources"] else ""
        return "; ".join(f"{one['k']}: {percent(one['share'])} ({between(one)}{mark})" for one in row["pass_at"])

    rows = [
        (
            f"{row['base']}, {title(numbers, row['variant'])}, {row['title']}, {row['stage']}",
            whole(row["samples"]),
            interval_cell(row, "accuracy"),
            percent(row["over_samples"]),
            shares(row) or NOTHING,
        )
        for row in numbers["scores"]
        if row["samples"] > 1
    ]
    columns = ("base, tuned on, benchmark", "answers", "mean accuracy", "deviation between samples", "pass@k")
    return report_table("Several answers per question, in percent", columns, rows) if rows else None
