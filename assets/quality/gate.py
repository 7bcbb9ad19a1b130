"""Whether a partition of scores passes its own gate: did the judge answer about enough of its dialogues?"""

import polars as pl

from assets.quality.configuration import QualityRules
from resources.lake.records import Gate


def gate_of(scores: pl.DataFrame, rules: QualityRules) -> Gate:
    """Whether enough of the dialogues that the judge was asked about have a verdict."""
    coverage = judge_coverage(scores)
    if coverage is None or coverage >= rules.judge.minimum_coverage:
        return "passed"
    unjudged = scores.filter(pl.col("judge_status") == "not_judged").height
    return "passed" if unjudged <= rules.judge.tolerated else "failed"


def judge_coverage(scores: pl.DataFrame) -> float | None:
    """Share of the dialogues asked about that have a verdict (0..1); None where the judge was not asked at all."""
    asked = asked_about(scores)
    return asked.filter(pl.col("judge_status") == "judged").height / asked.height if asked.height else None


def asked_about(scores: pl.DataFrame) -> pl.DataFrame:
    """The rows that the judge was asked about."""
    return scores.filter(pl.col("judge_status").is_in(["judged", "not_judged"]))
