"""Accuracy with its interval, for each benchmark and on average."""

from collections.abc import Mapping, Sequence

import polars as pl

from assets.evaluation.schema import VERDICTS
from assets.evaluation.scores import score
from assets.evaluation.statistics import FEWEST_SOURCES, average
from assets.framework.intervals import Interval
from assets.report.inputs import ReportInputs
from assets.report.published import Published
from assets.report.scored_answers import ReportRow, ScoredAnswers, interval_columns, seed_columns


def score_rows(inputs: ReportInputs, scored: ScoredAnswers) -> list[ReportRow]:
    """Accuracy with its interval, verdicts and pass@k, one row per base, variant, benchmark and stage."""
    described = {(row["base"], row["variant"], row["benchmark"]): row for row in inputs.benchmarks.to_dicts()}
    made = []
    for key, rows in scored.answers.items():
        base, variant, benchmark, stage = key
        benchmark_row, found = described[base, variant, benchmark], score(rows, *key)
        few = found["sources"] < min(found["items"], FEWEST_SOURCES)
        made.append(
            {
                "base": base,
                "variant": variant,
                "benchmark": benchmark,
                "stage": stage,
                "title": benchmark_row["title"],
                "kind": rows["kind"][0],
                "paper_column": benchmark_row["paper_column"],
                **{name: found[name] for name in ("items", "sources", "samples", "accuracy")},
                "low": found["accuracy_low"],
                "high": found["accuracy_high"],
                "by": found["accuracy_by"],
                "few_sources": found["sources"] if few else 0,
                **seed_columns(list(scored.accuracies[key].values())),
                "over_samples": sample_spread(rows),
                **{name: found[name] for name in ("pass_at", *VERDICTS, "truncated", "completion_tokens")},
            }
        )
    return made


def sample_spread(answers: pl.DataFrame) -> float | None:
    """Standard deviation between the accuracies of the samples (each an answer of its own to every question).

    Of several training seeds the mean of theirs; None for one sample.
    """
    shares = answers.group_by("run", "sample").agg((pl.col("verdict") == "right").mean().alias("share"))
    spread = shares.sort("run", "sample").group_by("run", maintain_order=True).agg(pl.col("share").std())["share"]
    mean = spread.mean()
    return float(mean) if isinstance(mean, float) else None


def averaged_benchmarks(inputs: ReportInputs, published: Published) -> dict[str, list[str]]:
    """For each base the benchmarks that its averages are over: those of the paper's tables, where there are any."""
    found: dict[str, list[str]] = {}
    for base in inputs.bases:
        rows = inputs.benchmarks.filter(pl.col("base") == base).unique("benchmark", maintain_order=True)
        of_paper = rows.filter(pl.col("paper_column").is_in(list(published.columns)))
        found[base] = (of_paper if of_paper.height else rows)["benchmark"].to_list()
    return found


def average_rows(
    inputs: ReportInputs, scores: Sequence[ReportRow], averaged: Mapping[str, Sequence[str]], scored: ScoredAnswers
) -> list[ReportRow]:
    """The unweighted average over benchmarks, one row per base and variant; None where one of them is not scored."""
    plain = {(row["base"], row["variant"], row["benchmark"]): row for row in scores if row["stage"] == "plain"}
    made = []
    for base, benchmarks in averaged.items():
        for variant in inputs.variants:
            rows = [row for benchmark in benchmarks if (row := plain.get((base, variant, benchmark)))]
            if not rows:
                continue
            complete = len(rows) == len(benchmarks)
            found = average([_interval(row) for row in rows]) if complete else None
            each = scored.averages(base, variant, benchmarks) if complete else {}
            made.append(
                {
                    "base": base,
                    "variant": variant,
                    "benchmarks": len(rows),
                    "of": len(benchmarks),
                    "average": found.value if found else None,
                    **interval_columns(found),
                    **seed_columns(list(each.values())),
                }
            )
    return made


def _interval(row: ReportRow) -> Interval:
    return Interval(row["accuracy"], row["low"], row["high"], row["by"], row["few_sources"])
