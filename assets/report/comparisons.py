"""Paired comparisons: the same questions, answered by two models, or before and after a review.

Each function gives one family of tests, whose p-values Holm's correction covers together.
"""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from assets.evaluation.statistics import Difference, average, holm, normal_p, paired_difference
from assets.framework.partitions import UNTUNED
from assets.report.inputs import ReportInputs
from assets.report.scored_answers import (
    OURS,
    SEEDS,
    Key,
    ReportRow,
    ScoredAnswers,
    interval_columns,
    seed_columns,
)
from assets.training_sets.ablations import ablations
from assets.training_sets.masks import MASKS

AveragedBenchmarks = Mapping[str, Sequence[str]]  # by base


def by_benchmark(inputs: ReportInputs, scored: ScoredAnswers) -> list[ReportRow]:
    """BOOST-QA against the seeds on every benchmark."""
    return _corrected(
        _compared(scored, (base, OURS, benchmark, "plain"), (base, SEEDS, benchmark, "plain"))
        for base in inputs.bases
        if comparable(inputs, base, OURS, SEEDS)
        for benchmark in scored.benchmarks(base)
    )


def by_variant(inputs: ReportInputs, scored: ScoredAnswers, averaged: AveragedBenchmarks) -> list[ReportRow]:
    """Each variant's average against that of the seeds."""
    return _corrected(
        _compared_averages(scored, base, variant, SEEDS, averaged[base])
        for base in inputs.bases
        for variant in inputs.variants
        if variant != SEEDS and comparable(inputs, base, variant, SEEDS)
    )


def by_scenario(inputs: ReportInputs, scored: ScoredAnswers, averaged: AveragedBenchmarks) -> list[ReportRow]:
    """All scenarios' average against each ablation: what the scenarios that it leaves out add."""
    kept = ablations(inputs.scenarios)
    made = _corrected(
        _compared_averages(scored, base, OURS, variant, averaged[base])
        for base in inputs.bases
        for variant in kept
        if comparable(inputs, base, OURS, variant)
    )
    return [{**row, "added": [name for name in inputs.scenarios if name not in kept[row["against"]]]} for row in made]


def by_mask(inputs: ReportInputs, scored: ScoredAnswers, averaged: AveragedBenchmarks) -> list[ReportRow]:
    """The average with loss on fewer turns of BOOST-QA against that with its own loss."""
    return _corrected(
        _compared_averages(scored, base, variant, OURS, averaged[base])
        for base in inputs.bases
        for variant in MASKS
        if comparable(inputs, base, variant, OURS)
    )


def by_exchange(scored: ScoredAnswers) -> list[ReportRow]:
    """The answer after a review against the plain answer."""
    return _corrected(
        _compared(scored, key, (*key[:3], "plain"), same_prompt=False)
        for key in scored.questions
        if key[3] == "exchange"
    )


def comparable(inputs: ReportInputs, base: str, first: str, second: str) -> bool:
    """Whether two variants, with all their training seeds, were tuned on sets of one release; `untuned` has none."""
    releases = {
        variant: {row["release"] for row in inputs.partitions if (row["of"], row["variant"]) == (base, variant)}
        for variant in (first, second)
    }
    tuned = {release for variant, found in releases.items() if variant != UNTUNED for release in found}
    return all(releases.values()) and len(tuned) == 1 and (UNTUNED in releases or None not in tuned)


def _difference(
    scored: ScoredAnswers, first: Key, second: Key, same_prompt: bool = True
) -> tuple[Difference, int] | None:
    """The paired difference over the questions that both were asked in the same words, and their number.

    A question that several training seeds were asked counts once, by its mean over them.
    """
    if first not in scored.questions or second not in scored.questions:
        return None
    both = scored.questions[first].join(scored.questions[second], on="item_id", suffix="_second").sort("item_id")
    if same_prompt:
        both = both.filter(pl.col("prompt_hash") == pl.col("prompt_hash_second"))
    if both.is_empty():
        return None
    shares = (both["share"].to_list(), both["share_second"].to_list())
    return paired_difference(*shares, both["cluster"].to_list(), *first, *second), both.height


def _compared(scored: ScoredAnswers, first: Key, second: Key, same_prompt: bool = True) -> ReportRow | None:
    found = _difference(scored, first, second, same_prompt)
    if found is None:
        return None
    made, items = found
    return {
        "base": first[0],
        "variant": first[1],
        "against": second[1],
        "benchmark": first[2],
        "items": items,
        "difference": made.interval.value,
        **interval_columns(made.interval),
        **seed_columns(_subtracted(scored.accuracies[first], scored.accuracies[second])),
        "better_on": made.first_only,
        "worse_on": made.second_only,
        "test": made.test,
        "p": made.p,
    }


def _compared_averages(
    scored: ScoredAnswers, base: str, variant: str, against: str, benchmarks: Sequence[str]
) -> ReportRow | None:
    """The difference of two averages over the same benchmarks; None where one of them was not asked."""
    found = [_difference(scored, (base, variant, one, "plain"), (base, against, one, "plain")) for one in benchmarks]
    made = [one for one in found if one]
    if not made or len(made) < len(found):
        return None
    interval = average([one.interval for one, _ in made])
    each = [scored.averages(base, one, benchmarks) for one in (variant, against)]
    return {
        "base": base,
        "variant": variant,
        "against": against,
        "benchmarks": len(made),
        "items": sum(items for _, items in made),
        "difference": interval.value,
        **interval_columns(interval),
        **seed_columns(_subtracted(*each)),
        "test": "normal",
        "p": normal_p(interval),
    }


def _subtracted(first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    """The difference of each training seed that both have."""
    return [value - second[run] for run, value in first.items() if run in second]


def _corrected(compared: Iterable[ReportRow | None]) -> list[ReportRow]:
    """The comparisons that could be made, with Holm's correction."""
    rows = [row for row in compared if row]
    return [{**row, "p_holm": p} for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True)]
