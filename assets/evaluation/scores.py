"""From answers to scores: counts, accuracy with its interval, pass@k. Of the stored rows alone."""

from typing import Any

import polars as pl

from assets.evaluation.schema import VERDICTS
from assets.evaluation.statistics import accuracy_interval, pass_at_k

KS = (1, 2, 5, 10, 20, 50, 100)
Row = dict[str, Any]


def score_answers(answers: pl.DataFrame) -> list[Row]:
    """Scores of each benchmark and stage, in the answers' order; the columns of `BENCHMARK_SCORES` that rows decide."""
    names = ["base", "variant", "benchmark", "kind", "stage", "model"]
    return [
        dict(zip(names, key, strict=True))
        | score(group.with_columns(pl.col("base").alias("run")), str(key[0]), str(key[1]), str(key[2]), str(key[4]))
        for key, group in answers.group_by(names, maintain_order=True)
    ]


def score(answers: pl.DataFrame, *key: str) -> Row:
    """Counts, accuracy and pass@k of the answers to one benchmark and stage.

    Args:
        answers: of one run, or of several that differ in the training seed alone, distinguished by the column `run`;
            accuracy and pass@k are then means over runs.
        key: base, variant, benchmark and stage; seeds the bootstrap.
    """
    questions = per_question(answers)
    found = accuracy_interval(questions["share"].to_list(), questions["cluster"].to_list(), *key)
    counts = dict(answers["verdict"].value_counts().iter_rows())
    return {
        "items": questions.height,
        "sources": questions["cluster"].n_unique(),
        "samples": questions["samples"].list.max().max(),
        "answers": answers.height,
        **{verdict: counts.get(verdict, 0) for verdict in VERDICTS},
        "accuracy": found.value,
        "accuracy_low": found.low,
        "accuracy_high": found.high,
        "accuracy_by": found.by,
        "pass_at": pass_at(questions, *key) if answers["kind"][0] == "code" else [],
        "truncated": (answers["finish_reason"] == "length").sum(),
        "prompt_tokens": answers["prompt_tokens"].sum(),
        "completion_tokens": answers["completion_tokens"].sum(),
        "median_tokens": float(answers["completion_tokens"].median() or 0),  # type: ignore[arg-type]
    }


def per_question(answers: pl.DataFrame) -> pl.DataFrame:
    """One row per question that every run was asked, ordered by its id.

    Args:
        answers: to one benchmark and stage; the column `run` distinguishes training seeds.

    Returns:
        item_id and cluster; `samples` and how many of them are `right`, a list with an entry a run; `share` of right
        ones, the mean over runs; prompt_hash, null where runs asked it in other words.
    """
    each = answers.group_by("run", "item_id", "cluster").agg(
        pl.len().alias("samples"),
        (pl.col("verdict") == "right").sum().alias("right"),
        pl.col("prompt_hash").min(),
    )
    return (
        each.sort("run")
        .group_by("item_id", "cluster", maintain_order=True)
        .agg(
            pl.len().alias("runs"),
            pl.col("samples"),
            pl.col("right"),
            (pl.col("right") / pl.col("samples")).mean().alias("share"),
            pl.when(pl.col("prompt_hash").n_unique() == 1).then(pl.col("prompt_hash").first()).alias("prompt_hash"),
        )
        .filter(pl.col("runs") == answers["run"].n_unique())
        .drop("runs")
        .sort("item_id")
    )


def pass_at(questions: pl.DataFrame, *key: str) -> list[Row]:
    """pass@k with its interval, for each usual k that every question of `per_question` has answers for."""
    runs = list(zip(questions["samples"].to_list(), questions["right"].to_list(), strict=True))
    fewest = min((min(samples) for samples, _ in runs), default=0)
    made = []
    for k in (k for k in KS if k <= fewest):
        shares = [
            sum(pass_at_k(*counts, k) for counts in zip(samples, right, strict=True)) / len(samples)
            for samples, right in runs
        ]
        found = accuracy_interval(shares, questions["cluster"].to_list(), *key, f"pass@{k}")
        made.append({"k": k, "share": found.value, "low": found.low, "high": found.high, "by": found.by})
    return made
