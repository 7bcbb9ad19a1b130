"""A judge's rates, and error rates corrected by them."""

import numpy as np
import pytest

from assets.judge_calibration.rates import Rates, corrected_errors


def test_rates_are_shares_of_what_was_judged() -> None:
    rates = Rates(planted=40, caught=36, untouched=20, rejected=1)
    assert rates.false_pass is not None
    assert rates.false_alarm is not None
    assert [rates.false_pass.value, rates.false_alarm.value] == pytest.approx([0.1, 0.05])
    assert rates.false_pass.low < 0.1 < rates.false_pass.high < 0.24


@pytest.mark.parametrize(
    ("rates", "wrong", "expected"),
    [
        (Rates(1000, 1000, 1000, 0), 100, (0.1, 0.0)),  # a judge without errors
        (Rates(1000, 800, 1000, 100), 240, (0.2, 0.04 / 0.76)),  # 0.2 * 0.8 + 0.8 * 0.1 = 0.24
        (Rates(1000, 800, 1000, 100), 50, (0.0, 0.0)),  # fewer than its false alarms
    ],
)
def test_the_error_rate_is_corrected(rates: Rates, wrong: int, expected: tuple[float, float]) -> None:
    found = corrected_errors(rates, 1000, wrong)
    assert found is not None
    assert (found.judged.value, found.passed.value) == pytest.approx(expected)
    assert found == corrected_errors(rates, 1000, wrong)
    for interval in (found.judged, found.passed):
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


@pytest.mark.parametrize(
    "rates", [Rates(0, 0, 20, 0), Rates(20, 10, 0, 0), Rates(40, 20, 40, 20), Rates(4, 3, 4, 1), Rates(40, 4, 40, 30)]
)
def test_a_judge_that_is_not_shown_to_be_better_than_chance_corrects_nothing(rates: Rates) -> None:
    assert corrected_errors(rates, 100, 10) is None


def test_the_interval_covers_the_true_rate() -> None:
    true, caught, alarms, judged, items = 0.1, 0.85, 0.05, 500, 120
    generator, covered = np.random.default_rng(1), 0
    for _ in range(100):
        wrong = generator.binomial(judged, true * caught + (1 - true) * alarms)
        rates = Rates(items, int(generator.binomial(items, caught)), items, int(generator.binomial(items, alarms)))
        found = corrected_errors(rates, judged, int(wrong))
        covered += found is not None and found.judged.low <= true <= found.judged.high
    assert covered >= 90
