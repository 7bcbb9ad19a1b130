import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assets.dialogue_plans.retrieval import nearest


def units(seed: int, rows: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((rows, 5), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def by_hand(
    vectors: NDArray[np.float32],
    query: int,
    pool: slice,
    groups: NDArray[np.int32],
    k: int,
    excluded: NDArray[np.bool_],
) -> set[int]:
    others = [row for row in range(*pool.indices(len(vectors))) if groups[row] != groups[query] and not excluded[row]]
    return set(sorted(others, key=lambda row: -float(vectors[query] @ vectors[row]))[:k])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 60),
    k=st.integers(1, 7),
    block=st.integers(3, 20),
    sizes=st.integers(1, 10),
    share=st.floats(0, 1),
)
def test_blocks_find_what_comparing_each_pair_finds(
    seed: int, rows: int, k: int, block: int, sizes: int, share: float
) -> None:
    vectors = units(seed, rows)
    groups = (np.arange(rows) // sizes).astype(np.int32)
    excluded = np.random.default_rng(seed).random(rows) < 0.2
    pool = slice(int(rows * share / 2), int(rows * share))
    queries = np.arange(rows)
    found, similarities = nearest(vectors, queries, pool, groups, k, excluded, query_block=block, pool_block=block)
    for query in queries:
        rows_found = {int(row) for row in found[query] if row >= 0}
        assert rows_found == by_hand(vectors, int(query), pool, groups, k, excluded)
    exists = found >= 0
    exact = np.einsum("qd,qkd->qk", vectors[queries], vectors[found])
    assert np.allclose(similarities[exists], exact[exists], atol=1e-5)


def test_a_pool_of_one_finds_nothing_for_itself() -> None:
    found, _ = nearest(units(0, 1), np.array([0]), slice(None), np.array([0], dtype=np.int32), 3)
    assert found.tolist() == [[-1, -1, -1]]
