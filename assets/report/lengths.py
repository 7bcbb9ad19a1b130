"""Length of the answers in tokens, on the benchmark of the paper's length analysis where it was asked."""

from collections.abc import Mapping, Sequence

import polars as pl

from assets.evaluation.statistics import accuracy_interval
from assets.report.scored_answers import ReportRow, interval_columns

BINS = (0, 50, 100, 150, 200, 250, 300)  # lower ends in tokens; the last one has no upper end


def bin_name(low: int) -> str:
    """`50–99`; `300 and more`."""
    above = [edge for edge in BINS if edge > low]
    return f"{low}–{above[0] - 1}" if above else f"{low} and more"


def analysed_benchmarks(benchmarks: pl.DataFrame, column: str) -> dict[str, list[str]]:
    """For each base the benchmarks of that column of the paper; all that were asked where it was not.

    Args:
        benchmarks: base, benchmark and paper_column.
        column: the paper's name.
    """
    found: dict[str, list[str]] = {}
    for (base,), rows in benchmarks.group_by(["base"], maintain_order=True):
        named = rows.filter(pl.col("paper_column") == column)
        found[str(base)] = (named if named.height else rows)["benchmark"].unique(maintain_order=True).to_list()
    return found


def answers_to(answers: pl.DataFrame, benchmarks: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """The answers of each base to these benchmarks."""
    pairs = [(base, name) for base, names in benchmarks.items() for name in names]
    wanted = pl.DataFrame(pairs, schema={"base": pl.String, "benchmark": pl.String}, orient="row")
    return answers.join(wanted, on=["base", "benchmark"], how="semi", maintain_order="left")


def _answered(answers: pl.DataFrame) -> pl.DataFrame:
    return answers.filter((pl.col("stage") == "plain") & pl.col("finish_reason").is_not_null())


def length_rows(answers: pl.DataFrame) -> list[ReportRow]:
    """Tokens of the plain answers, one row per base and variant."""
    tokens = pl.col("completion_tokens")
    return (
        _answered(answers)
        .group_by(["base", "variant"], maintain_order=True)
        .agg(
            pl.len().alias("answers"),
            tokens.median().alias("median"),
            tokens.quantile(0.9, "nearest").alias("nine_in_ten"),
            tokens.mean().alias("mean"),
            (pl.col("finish_reason") == "length").mean().alias("cut_off"),
        )
        .to_dicts()
    )


def bin_rows(answers: pl.DataFrame) -> list[ReportRow]:
    """How many plain answers have which length, and how many of these are right; one row per base, variant and bin."""
    number_of_bin = pl.sum_horizontal(*(pl.col("completion_tokens") >= edge for edge in BINS)) - 1
    rows = _answered(answers).with_columns(number_of_bin.alias("bin"))
    return [
        _bin_row(str(base), str(variant), low, of_variant.filter(pl.col("bin") == number), of_variant.height)
        for (base, variant), of_variant in rows.group_by(["base", "variant"], maintain_order=True)
        for number, low in enumerate(BINS)
    ]


def _bin_row(base: str, variant: str, low: int, inside: pl.DataFrame, answers: int) -> ReportRow:
    right = (inside["verdict"] == "right").cast(pl.Float64).to_list()
    clusters = (inside["benchmark"] + "/" + inside["cluster"]).to_list()
    found = accuracy_interval(right, clusters, base, variant, str(low)) if right else None
    return {
        "base": base,
        "variant": variant,
        "bin": bin_name(low),
        "answers": inside.height,
        "share": inside.height / answers,
        "accuracy": found.value if found else None,
        **interval_columns(found),
    }
