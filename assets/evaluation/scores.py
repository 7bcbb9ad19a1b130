"""From answers to scores: counts, accuracy with its interval, pass@k. Of the stored rows alone."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from assets.evaluation.schema import VERDICTS
from assets.evaluation.statistics import pass_at_k, wilson

KS = (1, 2, 5, 10, 20, 50, 100)
Row = dict[str, Any]


def score_answers(answers: pl.DataFrame) -> list[Row]:
    """Scores of each benchmark and stage, in the answers' order; the columns of `BENCHMARK_SCORES` that rows decide.

    The interval is Wilson's over questions: with several answers to each, a question counts by its share of right
    ones, which makes the interval a little too wide rather than too narrow.
    """
    groups = answers.group_by(["base", "variant", "benchmark", "kind", "stage", "model"], maintain_order=True)
    return [
        dict(zip(("base", "variant", "benchmark", "kind", "stage", "model"), key, strict=True)) | _score(group)
        for key, group in groups
    ]


def _score(answers: pl.DataFrame) -> Row:
    items = answers.group_by("item_id", maintain_order=True).agg(
        pl.len().alias("samples"), (pl.col("verdict") == "right").sum().alias("right")
    )
    right, n = int(items["right"].sum()), answers.height
    low, high = wilson(right / n * items.height, items.height)
    counts = dict(answers["verdict"].value_counts().iter_rows())
    return {
        "items": items.height,
        "samples": items["samples"].max(),
        "answers": n,
        **{verdict: counts.get(verdict, 0) for verdict in VERDICTS},
        "accuracy": right / n,
        "accuracy_low": low,
        "accuracy_high": high,
        "pass_at": pass_at(items) if answers["kind"][0] == "code" else [],
        "truncated": (answers["finish_reason"] == "length").sum(),
        "prompt_tokens": answers["prompt_tokens"].sum(),
        "completion_tokens": answers["completion_tokens"].sum(),
        "median_tokens": float(answers["completion_tokens"].median() or 0),  # type: ignore[arg-type]
    }


def pass_at(items: pl.DataFrame) -> list[Mapping[str, Any]]:
    """pass@k over questions with `samples` answers each, `right` of them right, for each usual k that there are."""
    pairs: list[tuple[int, int]] = list(zip(items["samples"].to_list(), items["right"].to_list(), strict=True))
    fewest = min(samples for samples, _ in pairs)
    return [
        {"k": k, "share": sum(pass_at_k(samples, right, k) for samples, right in pairs) / len(pairs)}
        for k in KS
        if k <= fewest
    ]
