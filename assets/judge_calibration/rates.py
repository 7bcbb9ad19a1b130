"""How often a judge misses planted faults and rejects untouched dialogues, and what follows for a release."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from assets.framework.intervals import Interval, wilson
from assets.judge_calibration.faults import NONE
from resources.identity import draw

DRAWS = 4000
MOST_USELESS = 0.025  # largest share of draws in which the judge rejects good dialogues as often as faulty ones


@dataclass(frozen=True, slots=True)
class Rates:
    """What a judge did with items: planted faults that it caught, untouched dialogues that it rejected."""

    planted: int
    caught: int
    untouched: int
    rejected: int  # untouched dialogues that it rejected
    unjudged: int = 0  # items without a valid verdict; they are in no rate

    @property
    def false_pass(self) -> Interval | None:
        """Share of the planted faults that it passed; None without any."""
        return share(self.planted - self.caught, self.planted)

    @property
    def false_alarm(self) -> Interval | None:
        """Share of the untouched dialogues that it rejected; None without any."""
        return share(self.rejected, self.untouched)


@dataclass(frozen=True, slots=True)
class CorrectedErrors:
    """Procedural errors, corrected by the rates of the judge that counted them."""

    judged: Interval  # share of the judged dialogues that are wrong
    passed: Interval  # share of the dialogues that the judge passed that are wrong: what a release still contains


def share(number: int, n: int) -> Interval | None:
    """A share with Wilson's interval; None of nothing."""
    return Interval(number / n, *wilson(number, n), "Wilson") if n else None


def rates_of(items: pl.DataFrame) -> Rates:
    """The rates of rows of `JUDGE_CALIBRATION`."""
    judged = items.filter(pl.col("rejected").is_not_null())
    untouched = judged.filter(pl.col("kind") == NONE)["rejected"]
    planted = judged.filter(pl.col("kind") != NONE)["rejected"]
    return Rates(len(planted), int(planted.sum()), len(untouched), int(untouched.sum()), items.height - judged.height)


def rates_by(items: pl.DataFrame, column: str) -> dict[str, Rates]:
    """The rates for each value of a column, by value."""
    return {str(value): rates_of(group) for (value,), group in sorted(items.group_by(column))}


def corrected_errors(rates: Rates, judged: int, wrong: int) -> CorrectedErrors | None:
    """The true share of wrong dialogues, from what the judge found and how often it errs (Rogan and Gladen 1978).

    The intervals are of draws from the posterior distributions (Jeffreys) of the three shares that the estimate is
    made of; the same numbers give the same interval.

    Args:
        rates: of the judge.
        judged: dialogues with a verdict.
        wrong: those of them in which the judge found a fault.

    Returns:
        None where the numbers do not show that the judge is better than chance, or there are none.
    """
    if not (rates.planted and rates.untouched and judged):
        return None
    counts = ((wrong, judged), (rates.caught, rates.planted), (rates.rejected, rates.untouched))
    found, caught, alarms = (number / n for number, n in counts)
    generator = np.random.default_rng(int(draw("corrected_errors", *map(list, counts)) * 2**52))
    drawn = [generator.beta(number + 0.5, n - number + 0.5, DRAWS) for number, n in counts]
    if caught <= alarms or float(np.mean(drawn[1] <= drawn[2])) > MOST_USELESS:
        return None
    lows, highs = np.quantile(np.array(_corrected(*drawn)), [0.025, 0.975], axis=1).tolist()
    return CorrectedErrors(
        *(
            Interval(float(value), min(float(value), low), max(float(value), high), "Rogan-Gladen")
            for value, low, high in zip(_corrected(found, caught, alarms), lows, highs, strict=True)
        )
    )


def error_figures(rates: Rates, judged: int, wrong: int) -> list[dict[str, Any]]:
    """The judge's rates and the corrected shares as plain values: what, errors, of, share, and the interval's columns.

    Arguments are those of `corrected_errors`. What the numbers do not give is left out.
    """
    corrected = corrected_errors(rates, judged, wrong)
    figures = [
        ("planted faults that the judge passed", rates.planted - rates.caught, rates.planted, rates.false_pass),
        ("untouched dialogues that it rejected", rates.rejected, rates.untouched, rates.false_alarm),
        ("wrong, all that were judged, corrected", None, judged, corrected and corrected.judged),
        ("wrong, of those that the judge passed, corrected", None, judged - wrong, corrected and corrected.passed),
    ]
    return [
        {"what": what, "errors": errors, "of": n, "share": found.value}
        | {name: getattr(found, name) for name in ("low", "high", "by", "few_sources")}
        for what, errors, n, found in figures
        if found
    ]


def _corrected(found: Any, caught: Any, alarms: Any) -> tuple[Any, Any]:
    """The true share of wrong dialogues among all judged ones, and among those that passed; numbers or arrays."""
    wrong = np.clip((found - alarms) / np.maximum(caught - alarms, 1e-9), 0, 1)
    missed, right = wrong * (1 - caught), (1 - wrong) * (1 - alarms)
    return wrong, missed / np.maximum(missed + right, 1e-9)
