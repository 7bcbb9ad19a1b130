"""The report's tables of lengths, errors, costs, and of what was scored and what was excluded."""

from assets.report.formatting import (
    COMPARED,
    NOTHING,
    TITLES,
    Numbers,
    ReportTable,
    TableCell,
    dollars,
    find,
    interval_cell,
    lengths_title,
    percent,
    report_table,
    title,
    whole,
)


def length_table(numbers: Numbers) -> ReportTable:
    """Tokens of the answers."""
    return report_table(
        "Length of the plain answers in tokens",
        ("base, tuned on", "benchmark", "answers", "median", "nine in ten at most", "mean", "cut off, %"),
        [
            (
                f"{row['base']}, {title(numbers, row['variant'])}",
                lengths_title(numbers, row["base"]),
                *(whole(row[name]) for name in ("answers", "median", "nine_in_ten", "mean")),
                percent(row["cut_off"]),
            )
            for row in numbers["lengths"]
        ],
        ["benchmark"],
    )


def bin_table(numbers: Numbers, base: str) -> ReportTable:
    """Share and accuracy by length, of the three variants."""
    rows = [row for row in numbers["length_bins"] if row["base"] == base]
    variants = [variant for variant in COMPARED if find(rows, variant=variant)]

    def cells(name: str, variant: str) -> tuple[TableCell | str, TableCell]:
        row = find(rows, variant=variant, bin=name)
        return percent(row["share"]) if row else NOTHING, interval_cell(row, "accuracy")

    columns = [f"{TITLES[variant]}, {what}" for variant in variants for what in ("of the answers", "right")]
    return report_table(
        f"Answers of {base} by length, {lengths_title(numbers, base)}, in percent",
        ("tokens", *columns),
        [
            (name, *(cell for variant in variants for cell in cells(name, variant)))
            for name in dict.fromkeys(row["bin"] for row in rows)
        ],
    )


def error_table(numbers: Numbers) -> ReportTable:
    """Procedural errors."""
    return report_table(
        "Procedural errors in the dialogues, in percent",
        ("what", "errors", "of", "share"),
        [
            (row["what"], whole(row["errors"]), whole(row["of"]), interval_cell(row, "share"))
            for row in numbers["errors"]
        ],
    )


def cost_table(numbers: Numbers) -> ReportTable:
    """Tokens and money per accepted dialogue."""
    counted = ("dialogues", "accepted", "tokens", "judge_tokens", "tokens_an_accepted")
    return report_table(
        "What a dialogue took, the rejected ones included",
        (
            *("scenario", "dialogues", "accepted", "tokens", "judge's tokens"),
            "tokens per accepted dialogue",
            "US dollars per accepted dialogue",
        ),
        [
            (
                numbers["scenario_titles"].get(row["scenario"], row["scenario"]),
                *(whole(row[name]) for name in counted),
                dollars(row["cost_an_accepted"]),
            )
            for row in numbers["costs"]
        ],
    )


def excluded_table(numbers: Numbers) -> ReportTable | None:
    """What does not count."""
    rows = [(row["what"], row["why"], whole(row["number"])) for row in numbers["excluded"]]
    return report_table("What was excluded, and why", ("what", "why", "how many"), rows, ["why"]) if rows else None


def partition_table(numbers: Numbers) -> ReportTable:
    """What was compared."""
    return report_table(
        "What was scored",
        ("base, tuned on", "benchmarks", "checkpoint", "training set", "rows", "release"),
        [
            (
                f"{row['base']}, {title(numbers, row['variant'])}"
                + ("" if row["of"] == row["base"] else f" (a seed of {row['of']})"),
                *(row[name] or NOTHING for name in ("benchmarks", "checkpoint", "training_set")),
                whole(row["rows"]),
                row["release"] or NOTHING,
            )
            for row in numbers["partitions"]
        ],
        ("benchmarks", "checkpoint", "training set", "release"),
    )
