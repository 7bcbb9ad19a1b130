"""How far the judge agrees with people: Cohen's kappa, false passes and false alarms, with intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from assets.framework.intervals import Interval
from assets.judge_calibration.rates import share
from assets.judge_calibration.sampling import current_partitions, read_scores
from assets.quality.decisions import Decisions
from assets.quality.partition_status import Expected
from assets.review.sample import ReviewError
from resources.identity import draw
from resources.lake.tables import Lake

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Agreement:
    """Dialogues by people's decision and the judge's verdict."""

    both_accept: int
    both_reject: int
    false_passes: int  # people reject, the judge accepts
    false_alarms: int  # people accept, the judge rejects

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """In the order of the fields."""
        return self.both_accept, self.both_reject, self.false_passes, self.false_alarms

    @property
    def kappa(self) -> Interval | None:
        """Cohen's kappa with a bootstrap interval; None where people and judge both give one verdict alone."""
        value = kappa_of(self.counts)
        if value is None:
            return None
        total = sum(self.counts)
        generator = np.random.default_rng(int(draw("kappa", *self.counts) * 2**52))
        drawn = generator.multinomial(total, np.array(self.counts) / total, size=RESAMPLES)
        values = [found for row in drawn.tolist() if (found := kappa_of(tuple(row))) is not None]
        low, high = np.quantile(values, [0.025, 0.975])
        return Interval(value, min(value, float(low)), max(value, float(high)), "bootstrap")

    @property
    def false_pass(self) -> Interval | None:
        """Share of the dialogues that people reject that the judge accepts."""
        return share(self.false_passes, self.false_passes + self.both_reject)

    @property
    def false_alarm(self) -> Interval | None:
        """Share of the dialogues that people accept that the judge rejects."""
        return share(self.false_alarms, self.false_alarms + self.both_accept)


def kappa_of(counts: tuple[int, ...]) -> float | None:
    """Cohen's kappa of `Agreement.counts`; None where agreement by chance is certain."""
    both_accept, both_reject, passes, alarms = counts
    total = sum(counts)
    if not total:
        return None
    people, judge = (both_accept + alarms) / total, (both_accept + passes) / total
    by_chance = people * judge + (1 - people) * (1 - judge)
    if math.isclose(by_chance, 1):
        return None
    return ((both_accept + both_reject) / total - by_chance) / (1 - by_chance)


def read_agreement(lake: Lake, expected: Expected, decisions: Decisions) -> Agreement:
    """The agreement over all current dialogues that were judged and decided by people.

    Raises:
        ReviewError: there is none.
    """
    scores = read_scores(lake, current_partitions(lake, expected), ["dialogue_id", "judge_correct"])
    verdicts: Mapping[str, bool] = dict(scores.filter(pl.col("judge_correct").is_not_null()).iter_rows())
    pairs = [(one.verdict == "accept", verdicts[name]) for name, one in decisions.items() if name in verdicts]
    if not pairs:
        raise ReviewError(
            "there is no dialogue that both people and the judge decided; review the sample of review_sample, and name "
            "the exported file as `decisions` in the quality rules"
        )
    return Agreement(*(pairs.count(pair) for pair in ((True, True), (False, False), (False, True), (True, False))))
