"""TAGCOS's selection on features made up for it."""

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


def groups(sizes: tuple[int, ...], dimensions: int = 12) -> Any:
    """Rows about as many directions as there are sizes."""
    generator = np.random.default_rng(1)
    centres = np.eye(dimensions)[: len(sizes)]
    return np.vstack(
        [
            centre + 0.05 * generator.standard_normal((size, dimensions))
            for centre, size in zip(centres, sizes, strict=True)
        ]
    ).astype(np.float32)


@given(Features, st.data())
@settings(max_examples=25)
def test_any_features_give_as_many_different_rows_as_asked(features: Any, data: st.DataObject) -> None:
    usable = np.flatnonzero(features.any(axis=1)).tolist()
    assume(usable)
    budget = data.draw(st.integers(1, len(usable)))
    clusters = data.draw(st.integers(1, 30))
    chosen = choose(features, budget, clusters, 0).tolist()
    assert len(set(chosen)) == budget
    assert set(chosen) <= set(usable)


@given(Features)
@settings(max_examples=8)
def test_the_same_features_give_the_same_rows(features: Any) -> None:
    budget = int(features.any(axis=1).sum()) // 2
    assume(budget)
    assert choose(features, budget, 4, 7).tolist() == choose(features, budget, 4, 7).tolist()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.data())
def test_budgets_add_up_and_fit_their_clusters(sizes: list[int], data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, sum(sizes)))
    shares = allot(sizes, budget)
    assert sum(shares) == budget
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    assert budget < len(sizes) or min(shares) >= 1


@given(st.lists(st.integers(1, 50), min_size=2, max_size=20), st.data())
def test_a_larger_cluster_gets_no_smaller_budget(sizes: list[int], data: st.DataObject) -> None:
    shares = allot(sizes, data.draw(st.integers(1, sum(sizes))))
    ordered = sorted(zip(sizes, shares, strict=True))
    assert all(first[1] <= second[1] + 1 for first, second in pairwise(ordered))


def test_every_group_is_found_and_none_is_left_out() -> None:
    features = groups((30, 20, 10))
    chosen = choose(features, 6, 3, 0)
    assert [int(((chosen >= low) & (chosen < high)).sum()) for low, high in ((0, 30), (30, 50), (50, 60))] == [3, 2, 1]


def test_rows_that_are_all_the_same_are_one_cluster() -> None:
    assert len(set(cluster(np.ones((10, 4)), 5, 0).tolist())) == 1


def test_rows_of_zeros_are_never_chosen() -> None:
    features = np.zeros((6, 3), dtype=np.float32)
    features[[1, 4]] = 1
    assert choose(features, 2, 3, 0).tolist() == [1, 4]


def test_a_pursuit_takes_the_row_that_is_most_like_the_mean_first() -> None:
    features = unit(np.array([[1, 0.1], [1, 0.9], [0.1, 1]], dtype=np.float32))
    assert pursue(features, 1).tolist() == [1]


def test_a_pursuit_goes_on_with_what_the_first_rows_leave_open() -> None:
    # Two rows along one axis and one along another: after one of the first two the third explains what is left.
    features = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert sorted(pursue(features, 2).tolist()) == [0, 2]


def test_a_pursuit_matches_the_mean_better_than_chance() -> None:
    generator = np.random.default_rng(0)
    features = unit(generator.standard_normal((60, 20)) + 0.3)

    def residual(places: Any) -> float:
        found = features[places]
        weights = np.linalg.lstsq(found.T, features.mean(axis=0), rcond=None)[0]
        return float(np.linalg.norm(features.mean(axis=0) - weights @ found))

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
def test_features_that_are_none_are_refused(features: Any, budget: int, fault: str) -> None:
    with pytest.raises(CoresetError, match=fault):
        choose(features, budget, 2, 0)
