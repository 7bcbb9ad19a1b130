"""The scored answers that a report compares, by base model, variant, benchmark and stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.evaluation.scores import per_question
from assets.framework.intervals import Interval
from assets.report.inputs import PAIR

OURS, SEEDS = PAIR

ReportRow = dict[str, Any]
Key = tuple[str, str, str, str]  # base, variant, benchmark, stage


@dataclass(frozen=True, slots=True)
class ScoredAnswers:
    """All answers, of all training seeds that were asked."""

    answers: Mapping[Key, pl.DataFrame]
    questions: Mapping[Key, pl.DataFrame]  # one row per question
    accuracies: Mapping[Key, Mapping[str, float]]  # of each training seed, by the base that was scored

    def benchmarks(self, base: str) -> list[str]:
        """Every benchmark that any variant of a base was asked."""
        return list(dict.fromkeys(key[2] for key in self.answers if key[0] == base))

    def averages(self, base: str, variant: str, benchmarks: Sequence[str]) -> dict[str, float]:
        """The unweighted mean over benchmarks of each training seed that all of them have."""
        each = [self.accuracies[base, variant, benchmark, "plain"] for benchmark in benchmarks]
        shared = [run for run in each[0] if all(run in one for one in each)]
        return {run: sum(one[run] for one in each) / len(each) for run in shared}


def by_key(answers: pl.DataFrame) -> ScoredAnswers:
    """The answers of a report's inputs, grouped."""
    grouped = {
        (str(key[0]), str(key[1]), str(key[2]), str(key[3])): rows
        for key, rows in answers.group_by(["base", "variant", "benchmark", "stage"], maintain_order=True)
    }
    return ScoredAnswers(
        grouped,
        {key: per_question(rows) for key, rows in grouped.items()},
        {key: _accuracies(rows) for key, rows in grouped.items()},
    )


def _accuracies(answers: pl.DataFrame) -> dict[str, float]:
    runs = {str(run): per_question(rows)["share"].to_list() for (run,), rows in answers.sort("run").group_by("run")}
    return {run: sum(shares) / len(shares) for run, shares in sorted(runs.items())}


def interval_columns(interval: Interval | None) -> ReportRow:
    """An interval as columns: low, high, by and few_sources."""
    return {name: getattr(interval, name) if interval else None for name in ("low", "high", "by", "few_sources")}


def seed_columns(values: Sequence[float]) -> ReportRow:
    """How many training seeds a mean is over, and the lowest and the highest of them; None for one seed."""
    several = len(values) > 1
    return {
        "seeds": len(values),
        "lowest": min(values) if several else None,
        "highest": max(values) if several else None,
    }
