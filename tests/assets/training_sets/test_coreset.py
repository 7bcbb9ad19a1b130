"""TAGCOS's selection on made-up features."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assets.training_sets.coreset import CoresetError, allot, choose, cluster, pursue, unit

Features = arrays(
    np.float32,
    st.tuples(st.integers(1, 24), st.integers(1, 6)),
    elements=st.floats(-4, 4, width=32),
    fill=st.just(np.float32(0)),
)
ZEROS_BUT_TWO = np.zeros((6, 3), dtype=np.float32)
ZEROS_BUT_TWO[[1, 4]] = 1


@given(Features, st.data())
@settings(max_examples=25)
def test_any_features_give_as_many_different_rows_as_asked_and_the_same_each_time(
    features: Any, data: st.DataObject
) -> None:
    usable = np.flatnonzero(features.any(axis=1)).tolist()
    assume(usable)
    budget, clusters = data.draw(st.integers(1, len(usable))), data.draw(st.integers(1, 30))
    selected = choose(features, budget, clusters, 7).tolist()
    assert len(set(selected)) == budget
    assert set(selected) <= set(usable)
    assert choose(features, budget, clusters, 7).tolist() == selected


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.data())
def test_budgets_add_up_fit_their_clusters_and_grow_with_them(sizes: list[int], data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, sum(sizes)))
    shares = allot(sizes, budget)
    assert sum(shares) == budget
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    assert budget < len(sizes) or min(shares) >= 1
    assert all(first[1] <= second[1] + 1 for first, second in pairwise(sorted(zip(sizes, shares, strict=True))))


def test_every_direction_gets_its_share() -> None:
    generator, sizes = np.random.default_rng(1), (30, 20, 10)
    centres = np.repeat(np.eye(12)[:3], sizes, axis=0)
    features = (centres + 0.05 * generator.standard_normal(centres.shape)).astype(np.float32)
    selected = choose(features, 6, 3, 0)
    assert np.histogram(selected, [0, 30, 50, 60])[0].tolist() == [3, 2, 1]


def test_equal_rows_are_one_cluster_and_rows_of_zeros_are_never_selected() -> None:
    assert len(set(cluster(np.ones((10, 4)), 5, 0).tolist())) == 1
    assert choose(ZEROS_BUT_TWO, 2, 3, 0).tolist() == [1, 4]


@pytest.mark.parametrize(
    ("features", "budget", "selected"),
    [
        (unit(np.array([[1, 0.1], [1, 0.9], [0.1, 1]])), 1, [1]),  # the row most like the mean
        (np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32), 2, [0, 2]),  # the third explains what the first leaves
    ],
)
def test_a_pursuit_selects_what_explains_most_of_the_rest(features: Any, budget: int, selected: list[int]) -> None:
    assert sorted(pursue(features, budget).tolist()) == selected


def test_a_pursuit_matches_the_mean_better_than_chance() -> None:
    generator = np.random.default_rng(0)
    features = unit(generator.standard_normal((60, 20)) + 0.3)

    def residual(rows: Any) -> float:
        weights = np.linalg.lstsq(features[rows].T, features.mean(axis=0), rcond=None)[0]
        return float(np.linalg.norm(features.mean(axis=0) - weights @ features[rows]))

    random = [residual(generator.choice(60, 8, replace=False)) for _ in range(20)]
    assert residual(pursue(features, 8)) < min(random)


@pytest.mark.parametrize(
    ("features", "budget", "fault"),
    [
        (np.full((4, 2), np.nan), 2, "row 0 are not finite"),
        (np.array([[1.0, 0], [np.inf, 0]]), 1, "row 1 are not finite"),
        (np.ones(4), 2, "rows × dimensions"),
        (np.ones((0, 4)), 1, "rows × dimensions"),
        (np.ones((4, 2), dtype=np.int64), 2, "floating-point"),
        (np.ones((4, 2)), 5, "5 rows cannot be selected from 4"),
        (np.ones((4, 2)), 0, "0 rows cannot be selected"),
        (np.zeros((4, 2)), 1, "from 0 that have features"),
    ],
)
def test_features_that_cannot_be_used_are_refused(features: Any, budget: int, fault: str) -> None:
    with pytest.raises(CoresetError, match=fault):
        choose(features, budget, 2, 0)
