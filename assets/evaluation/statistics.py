"""Statistics of scores: intervals, paired differences, tests, on plain numbers.

Every bootstrap is seeded by what it resamples, so that the same rows give the same interval on every machine.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.framework.intervals import Z95, Interval, wilson
from resources.identity import draw

RESAMPLES = 2000
FEWEST_SOURCES = 20  # with fewer of them, resampling sources says too little of how much they differ
FEWEST_UNLIKE = 5  # where fewer are unlike the others, what is resampled is nearly the same in every draw
LEAST_P = 1e-6  # no p-value is given as smaller: no model of questions is right so far out

Draws = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The sum over the questions of one source, or over one question alone."""

    total: float  # right answers, or a sum of differences
    questions: int

    @property
    def mean(self) -> float:
        """The mean over its questions, without the last bits that depend on the order of a sum."""
        return round(self.total / self.questions, 9)


# -- shares ------------------------------------------------------------------------------------------------------------


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Unbiased estimate of pass@k for one problem (Chen et al. 2021, equation 1): that one of k answers is right."""
    if samples - right < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / number for number in range(samples - right + 1, samples + 1))


# -- bootstrap ---------------------------------------------------------------------------------------------------------


def clusters_of(values: Sequence[float], clusters: Sequence[str]) -> list[Cluster]:
    """One cluster per name, of one value per question; sorted by name."""
    totals: dict[str, tuple[float, int]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        total, count = totals.get(cluster, (0.0, 0))
        totals[cluster] = (total + value, count + 1)
    return [Cluster(*totals[cluster]) for cluster in sorted(totals)]


def bootstrap_means(sources: Sequence[Cluster], *seed: str, resamples: int = RESAMPLES) -> Draws:
    """Means over questions of `resamples` draws of as many sources, with replacement.

    Sources that are alike are drawn together, which changes nothing and makes 14,000 questions as fast as a few.

    Args:
        sources: at least one.
        seed: names what is resampled; the same names give the same draws.
        resamples: how many.
    """
    kinds = sorted(Counter((source.total, source.questions) for source in sources).items())
    totals = np.array([total for (total, _), _ in kinds])
    questions = np.array([number for (_, number), _ in kinds])
    shares = np.array([count for _, count in kinds]) / len(sources)
    generator = np.random.default_rng(int(draw("bootstrap", *seed) * 2**52))
    drawn = generator.multinomial(len(sources), shares, size=resamples)
    means: Draws = (drawn @ totals) / (drawn @ questions)
    return means


def percentiles(draws: Draws) -> tuple[float, float]:
    """The ends between which 95 % of the draws lie."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def shares_sources(sources: Sequence[Cluster]) -> bool:
    """Whether a source has more than one question."""
    return any(source.questions > 1 for source in sources)


def is_clustered(sources: Sequence[Cluster]) -> bool:
    """Whether questions share sources, of which there are enough to resample them."""
    return shares_sources(sources) and len(sources) >= FEWEST_SOURCES


def are_alike(sources: Sequence[Cluster]) -> bool:
    """Whether so few sources are unlike the others that resampling them shows no spread, or almost none."""
    counts = Counter(source.mean for source in sources)
    return len(sources) - max(counts.values()) < FEWEST_UNLIKE


def accuracy_interval(values: Sequence[float], clusters: Sequence[str], *seed: str) -> Interval:
    """Mean of one share of right answers per question: Wilson's interval, or a clustered one where sources are shared.

    A clustered one is of a bootstrap over sources; where nearly all sources are alike, so that resampling them would
    show no spread, it is Wilson's with as many trials as there are sources.

    Args:
        values: for each question the share of its answers that are right.
        clusters: what each question shares with others; its own id where nothing.
        seed: names what it is of.
    """
    n = len(values)
    mean = sum(values) / n if n else 0.0
    sources = clusters_of(values, clusters)
    if not is_clustered(sources):
        return Interval(mean, *wilson(sum(values), n), "Wilson", len(sources) if shares_sources(sources) else 0)
    if are_alike(sources):
        return Interval(mean, *wilson(mean * len(sources), len(sources)), "Wilson over sources")
    low, high = percentiles(bootstrap_means(sources, *seed))
    return Interval(mean, min(low, mean), max(high, mean), "clustered bootstrap")


def average(parts: Sequence[Interval]) -> Interval:
    """Unweighted mean of independent values, each with its interval (MOVER; Zou and Donner 2008, equations 2 and 3)."""
    value = sum(part.value for part in parts) / len(parts)
    below = math.sqrt(sum((part.value - part.low) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(sum((part.high - part.value) ** 2 for part in parts)) / len(parts)
    few = min((part.few_sources for part in parts if part.few_sources), default=0)
    return Interval(value, value - below, value + above, "MOVER", few)


# -- paired differences ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better the first of two did on the same questions."""

    interval: Interval
    p: float  # two-sided, of no difference
    test: str
    first_only: int  # questions on which the first did better
    second_only: int


def paired_difference(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[str], *seed: str
) -> Difference:
    """The mean difference of two shares of right answers per question, over the same questions in the same order.

    With one answer per question and no shared sources: Bonett and Price's interval and McNemar's exact test. With
    several answers, or sources that questions share: a paired bootstrap for both, over questions or sources. Where
    nearly all of these are alike, so that resampling them would show no spread: Bonett and Price's interval over them,
    and the p-value that belongs to it.

    Args:
        first: of the one, for each question.
        second: of the other.
        clusters: what each question shares with others; its own id where nothing. At least one question.
        seed: names what is compared.
    """
    values = [one - other for one, other in zip(first, second, strict=True)]
    first_only, second_only = sum(value > 0 for value in values), sum(value < 0 for value in values)
    shared = clusters_of(values, clusters)
    clustered = is_clustered(shared)
    few = len(shared) if shares_sources(shared) and not clustered else 0
    units = shared if clustered else [Cluster(value, 1) for value in values]
    if not clustered and {*first, *second} <= {0, 1}:
        found, p, test = bonett_price(first_only, second_only, len(values)), mcnemar(first_only, second_only), "McNemar"
    elif are_alike(units):
        weight = len(units) / len(values)  # so that sources add up to the mean over questions
        gained, lost = (weight * sum(max(0.0, sign * unit.total) for unit in units) for sign in (1, -1))
        found = bonett_price(gained, lost, len(units))
        found = replace(found, by="Bonett-Price over sources") if clustered else found
        p, test = normal_p(found), "normal"
    else:
        draws, test = bootstrap_means(units, *seed), "clustered bootstrap" if clustered else "bootstrap"
        found, p = Interval(0.0, *percentiles(draws), test), bootstrap_p(draws)
    mean = sum(values) / len(values)
    interval = Interval(mean, min(found.low, mean), max(found.high, mean), found.by, few)
    return Difference(interval, max(LEAST_P, p), test, first_only, second_only)


def bonett_price(gained: float, lost: float, n: int) -> Interval:
    """Adjusted Wald interval of a difference of paired shares (Bonett and Price 2012); never of no width.

    Args:
        gained: questions that the first alone answered rightly; a sum of positive differences where these are
            fractions, which makes the interval a little too wide rather than too narrow.
        lost: the other way round.
        n: questions in all.
    """
    value = (gained - lost) / n
    one, other = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    spread = Z95 * math.sqrt((one + other - (one - other) ** 2) / (n + 2))
    low, high = max(-1.0, one - other - spread), min(1.0, one - other + spread)
    return Interval(value, min(low, value), max(high, value), "Bonett-Price")


def normal_p(interval: Interval) -> float:
    """Two-sided p-value of zero that belongs to a 95 % interval, by the side of it that faces zero; never 0."""
    side = interval.value - interval.low if interval.value > 0 else interval.high - interval.value
    if not side:
        return LEAST_P if interval.value else 1.0
    return max(LEAST_P, math.erfc(abs(interval.value) / side * Z95 / math.sqrt(2)))


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p-value of McNemar's test: the discordant pairs against a fair coin.

    Args:
        first_only: questions that the first answers rightly and the second does not.
        second_only: the other way round.
    """
    n, fewer = first_only + second_only, min(first_only, second_only)
    if first_only == second_only:
        return 1.0
    term = tail = 1
    for k in range(fewer):
        term = term * (n - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << n))


def bootstrap_p(draws: Draws) -> float:
    """Two-sided p-value of a difference of zero, from its bootstrap draws; never below what so many draws can say."""
    below, above = int((draws <= 0).sum()), int((draws >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(draws) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of one family of tests, corrected for their number (Holm 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
