"""TAGCOS's selection: clusters of gradient features, and in each cluster the rows that together match its mean.

After the paper's description ("TAGCOS: Task-agnostic Gradient Clustered Coreset Selection for Instruction Tuning Data",
arXiv:2407.15235), not its code: k-means on the features, a budget for each cluster by its size, and orthogonal matching
pursuit of the cluster's mean gradient.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3  # on the diagonal of the fit: repeated rows stay solvable
BLOCK = 4096  # rows in memory at once

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]


class CoresetError(ValueError):
    """Nothing can be selected by these features. The message says why."""


def choose(
    features: Floats, budget: int, clusters: int, seed: int, log: Callable[[str], None] = lambda line: None
) -> Integers:
    """The numbers of the rows that are selected, ascending.

    The same arguments give the same rows on the same machine: k-means runs in one thread, because with several threads
    the order of additions varies, and with it the last bits.

    Args:
        features: (rows, dimensions); only a row's direction counts. May be a memory map. A row of zeros has no
            direction and is never selected.
        budget: how many rows to select.
        clusters: how many clusters at most.
        seed: of k-means.
        log: gets lines on the progress.

    Raises:
        CoresetError: the features are not finite numbers, or fewer rows than the budget have features.
    """
    check(features)
    usable = np.concatenate([start + found for start, found in _nonzero(features)])
    rows = len(usable)
    if not 0 < budget <= rows:
        raise CoresetError(f"{budget} rows cannot be selected from {rows} that have features ({len(features)} in all)")
    labels = cluster(features if rows == len(features) else features[usable], min(clusters, rows), seed)
    members = [usable[labels == label] for label in np.unique(labels)]
    budgets = allot([len(group) for group in members], budget)
    log(f"{rows} rows in {len(members)} clusters of {min(map(len, members))} to {max(map(len, members))}")
    selected = [
        group[pursue(unit(features[group]), share)] for group, share in zip(members, budgets, strict=True) if share
    ]
    return np.sort(np.concatenate(selected))


def check(features: Floats) -> None:
    """Raise CoresetError if features are not a table of finite numbers."""
    if features.ndim != 2 or not features.size:
        raise CoresetError(f"features should be rows × dimensions, but have the shape {features.shape}")
    if not np.issubdtype(features.dtype, np.floating):
        raise CoresetError(f"features should be floating-point numbers, but are {features.dtype}")
    for start in range(0, len(features), BLOCK):
        bad = np.flatnonzero(~np.isfinite(features[start : start + BLOCK]).all(axis=1))
        if len(bad):
            raise CoresetError(f"the features of row {start + int(bad[0])} are not finite numbers")


def _nonzero(features: Floats) -> Iterator[tuple[int, Integers]]:
    for start in range(0, len(features), BLOCK):
        yield start, np.flatnonzero(np.asarray(features[start : start + BLOCK]).any(axis=1))


def unit(features: Floats) -> NDArray[np.float32]:
    """A copy with rows of length 1; rows of zeros do not change."""
    found = np.array(features, dtype=np.float32)
    for start in range(0, len(found), BLOCK):
        part = found[start : start + BLOCK]
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        part /= np.where(lengths > 0, lengths, 1)
    return found


def cluster(features: Floats, clusters: int, seed: int) -> NDArray[np.int32]:
    """The number of each row's cluster, by k-means on rows of length 1. There are fewer clusters where rows repeat."""
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        means = KMeans(clusters, n_init=1, random_state=seed, copy_x=False)
        labels: NDArray[np.int32] = means.fit_predict(unit(features))
    return labels


def allot(sizes: list[int], budget: int) -> list[int]:
    """A budget per cluster, in proportion to its size: at least 1 while the budget lasts, at most the cluster's rows.

    Args:
        sizes: of the clusters, none empty.
        budget: at most their sum.
    """
    shares = [0] * len(sizes)
    largest_first = sorted(range(len(sizes)), key=lambda cluster: (-sizes[cluster], cluster))
    for cluster in largest_first[:budget]:
        shares[cluster] = 1
    left = budget - sum(shares)
    total = sum(sizes) - sum(shares)
    room = [size - share for size, share in zip(sizes, shares, strict=True)]
    exact = [left * free / total if total else 0.0 for free in room]
    for cluster, part in enumerate(exact):
        shares[cluster] += int(part)
    by_remainder = sorted(range(len(sizes)), key=lambda cluster: (int(exact[cluster]) - exact[cluster], cluster))
    for cluster in by_remainder[: budget - sum(shares)]:
        shares[cluster] += 1
    return shares


def pursue(features: NDArray[np.float32], budget: int) -> Integers:
    """Orthogonal matching pursuit of the rows' mean: select the row most like the residual, fit again, repeat.

    Each fit adds one row to a Cholesky factor. When the residual is zero, the rows most like the mean follow.

    Args:
        features: (rows, dimensions), all finite.
        budget: how many rows to select, at most all.

    Returns:
        The numbers of the selected rows, in the order of selection.
    """
    from scipy.linalg import solve_triangular  # type: ignore[import-untyped]

    rows = len(features)
    if budget >= rows:
        return np.arange(rows, dtype=np.int64)
    likeness = (features @ features.mean(axis=0)).astype(np.float64)
    products = np.empty((budget, rows), dtype=np.float32)  # of each selected row with all rows
    factor = np.zeros((budget, budget))
    selected: list[int] = []
    free = np.ones(rows, dtype=bool)
    residual = likeness.copy()
    halfway = np.empty(budget)  # factor · halfway = likeness of the selected rows
    for step in range(budget):
        row_number = int(np.argmax(np.where(free, residual, -np.inf)))
        if residual[row_number] <= 1e-7:
            break
        products[step] = features @ features[row_number]
        if step:
            factor[step, :step] = solve_triangular(factor[:step, :step], products[:step, row_number], lower=True)
        row = factor[step, :step]
        factor[step, step] = np.sqrt(max(float(products[step, row_number]) + RIDGE - float(row @ row), RIDGE))
        halfway[step] = (likeness[row_number] - row @ halfway[:step]) / factor[step, step]
        fitted = factor[: step + 1, : step + 1]
        weights = solve_triangular(fitted, halfway[: step + 1], lower=True, trans="T")
        residual = likeness - weights @ products[: step + 1]
        selected.append(row_number)
        free[row_number] = False
    rest = np.flatnonzero(free)
    filling = rest[np.argsort(-likeness[rest], kind="stable")][: budget - len(selected)]
    return np.concatenate([np.array(selected, dtype=np.int64), filling])
