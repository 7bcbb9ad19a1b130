"""Intervals, pass@k, paired differences, corrections."""

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.evaluation.statistics import (
    FEWEST_SOURCES,
    LEAST_P,
    Cluster,
    accuracy_interval,
    average,
    bonett_price,
    bootstrap_means,
    holm,
    mcnemar,
    normal_p,
    paired_difference,
    pass_at_k,
    percentiles,
)
from assets.framework.intervals import Interval, wilson


@pytest.mark.parametrize(
    ("computed", "published"),
    [
        (wilson(81, 263), (0.2553, 0.3662)),  # Newcombe 1998, table I, method 3
        (wilson(7, 10), (0.3968, 0.8922)),  # Brown, Cai and DasGupta's formula by hand
        (wilson(0, 0), (0.0, 1.0)),
        (mcnemar(1, 7), 0.0703),  # Fagerland, Lydersen and Laake 2014, their first example
        (mcnemar(121, 59), 4.4344492637e-06),  # scipy.stats.binomtest(59, 180).pvalue
        (mcnemar(10, 2), 0.03857421875),  # binomtest(2, 12).pvalue
        (holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]),  # R: p.adjust(method = "holm")
        # the formula by hand: -6/23 and 1.96 times the root of (10/23 - 36/529) / 23
        ((bonett_price(1, 7, 21).low, bonett_price(1, 7, 21).high), (-0.5084, -0.0134)),
        (normal_p(Interval(0.1, 0.0, 0.3, "MOVER")), 0.05),  # an interval that ends at zero
        (normal_p(Interval(-0.1, -0.3, 0.0, "MOVER")), 0.05),
    ],
)
def test_figures_are_the_published_ones(computed: object, published: object) -> None:
    assert computed == pytest.approx(published, rel=5e-3, abs=1e-9)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(counts: tuple[int, int]) -> None:
    low, high = wilson(*counts)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(given_counts: tuple[int, int, int]) -> None:
    samples, right, k = given_counts
    draws = list(combinations([True] * right + [False] * (samples - right), k))
    assert pass_at_k(samples, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_a_clustered_interval_is_wider_than_one_that_takes_questions_for_independent() -> None:
    clusters = [f"passage {number // 10}" for number in range(400)]
    values = [float(number // 10 % 2) for number in range(400)]  # a passage is right or wrong as a whole
    clustered = accuracy_interval(values, clusters, "seed")
    alone = accuracy_interval(values, [str(number) for number in range(400)], "seed")
    assert clustered.by == "clustered bootstrap"
    assert alone.by == "Wilson"
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)


def test_few_sources_are_not_resampled_but_reported() -> None:
    shared = ["arithmetic", "words"] * 20
    found = accuracy_interval([1.0, 0.0] * 20, shared)
    assert (found.by, found.few_sources) == ("Wilson", 2)
    assert paired_difference([1.0, 0.0] * 20, [0.0, 0.0] * 20, shared).interval.few_sources == 2
    assert accuracy_interval([1.0, 0.0] * 20, [str(number) for number in range(40)]).few_sources == 0


PASSAGES = [f"passage {number // 4}" for number in range(100)]  # 25 of four questions each


@pytest.mark.parametrize("right", [0, 1, 99, 100])
def test_sources_that_are_nearly_all_alike_are_not_certain(right: int) -> None:
    found = accuracy_interval([1.0] * right + [0.0] * (100 - right), PASSAGES)
    assert (found.low, found.high) == pytest.approx(wilson(right / 4, 25))
    assert (found.value, found.by) == (right / 100, "Wilson over sources")


def test_sources_that_all_differ_alike_are_as_many_trials_as_there_are_sources() -> None:
    found = paired_difference([1.0, 0.0, 0.0, 0.0] * 25, [0.0] * 100, PASSAGES)
    expected = bonett_price(6.25, 0, 25)
    assert found.interval == Interval(0.25, expected.low, expected.high, "Bonett-Price over sources")
    assert found.p == pytest.approx(normal_p(expected))


def test_the_same_rows_give_the_same_bootstrap() -> None:
    sources = [Cluster(float(number % 3), 3) for number in range(30)]
    first, again, other = (bootstrap_means(sources, name) for name in ("a", "a", "b"))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_the_bootstrap_of_single_questions_agrees_with_wilson() -> None:
    low, high = percentiles(bootstrap_means([Cluster(1.0, 1)] * 300 + [Cluster(0.0, 1)] * 200, "large"))
    assert (low, high) == pytest.approx(wilson(300, 500), abs=0.006)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemars_test_knows_no_first_and_second(first_only: int, second_only: int) -> None:
    p = mcnemar(first_only, second_only)
    n, fewer = first_only + second_only, min(first_only, second_only)
    by_definition = min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)
    assert p == mcnemar(second_only, first_only)
    assert p == pytest.approx(by_definition)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_a_correction_makes_no_p_value_smaller_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= after <= 1 for p, after in zip(p_values, corrected, strict=True))
    ranked = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert sorted(corrected) == [corrected[index] for index in ranked]


def test_no_difference_on_few_questions_is_not_certain() -> None:
    found = paired_difference([1.0] * 5, [1.0] * 5, list("abcde")).interval
    assert found.low < -0.3
    assert found.high > 0.3


@pytest.mark.parametrize(
    ("first", "second", "questions", "difference"), [(1.0, 0.5, 3, 0.5), (0.5, 0.25, 100, 0.25), (0.5, 0.5, 40, 0.0)]
)
def test_one_difference_of_several_answers_on_every_question_is_that_difference(
    first: float, second: float, questions: int, difference: float
) -> None:
    names = [str(number) for number in range(questions)]
    found = paired_difference([first] * questions, [second] * questions, names)
    assert found.interval.value == difference
    assert found.interval.low < difference < found.interval.high
    assert found.test == "normal"


def test_answers_that_differ_only_in_their_last_bit_differ_alike() -> None:
    names = [str(number) for number in range(200)]
    assert paired_difference([0.8, 1.0] * 100, [0.2, 0.4] * 100, names).test == "normal"


shares = st.sampled_from([0.0, 0.25, 0.5, 1.0])
marks = st.lists(st.tuples(shares, shares), min_size=1, max_size=120)


@given(marks, st.integers(1, 5))
def test_a_paired_difference_is_the_mean_lies_in_its_interval_and_turns_round_with_its_sides(
    pairs: list[tuple[float, float]], of_a_source: int
) -> None:
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    clusters = [str(number // of_a_source) for number in range(len(pairs))]
    found, turned = paired_difference(first, second, clusters), paired_difference(second, first, clusters)
    mean = sum(one - other for one, other in pairs) / len(pairs)
    assert found.interval.value == mean == -turned.interval.value
    assert -1 <= found.interval.low <= found.interval.value <= found.interval.high <= 1
    assert found.interval.low < found.interval.high
    assert (found.first_only, found.second_only) == (turned.second_only, turned.first_only)
    assert 0 < found.p <= 1


@given(st.lists(shares, min_size=1, max_size=120), st.integers(1, 5))
def test_an_accuracy_is_the_mean_and_never_certain(values: list[float], of_a_source: int) -> None:
    found = accuracy_interval(values, [str(number // of_a_source) for number in range(len(values))])
    assert found.value == sum(values) / len(values)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_no_difference_is_beyond_all_doubt() -> None:
    names = [str(number) for number in range(2000)]
    assert paired_difference([1.0] * 2000, [0.0] * 2000, names).p == LEAST_P
    assert paired_difference([1.0] * 2000, [0.5] * 2000, names).p == LEAST_P
    assert normal_p(Interval(0.25, 0.25, 0.25, "MOVER")) == LEAST_P


def test_an_average_says_where_one_of_its_parts_shares_few_sources() -> None:
    found = average([Interval(0.5, 0.4, 0.6, "Wilson", few_sources=7), Interval(0.5, 0.4, 0.6, "Wilson")])
    assert found.few_sources == 7 < FEWEST_SOURCES


def test_a_clear_difference_of_several_answers_is_found_by_the_bootstrap() -> None:
    questions = [str(number) for number in range(200)]
    found = paired_difference([0.8, 1.0] * 100, [0.2, 0.6] * 100, questions, "clear")
    assert found.test == "bootstrap"
    assert found.p < 0.01
    assert found.interval.low > 0


def test_an_average_of_one_value_is_that_value_and_of_several_is_known_better() -> None:
    one = Interval(0.4, 0.3, 0.6, "Wilson")
    assert (average([one]).value, average([one]).low, average([one]).high) == pytest.approx((0.4, 0.3, 0.6))
    found = average([Interval(0.5, 0.4, 0.6, "Wilson")] * 4)
    assert (found.low, found.high) == pytest.approx((0.45, 0.55))
