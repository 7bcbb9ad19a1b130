"""By what else than its content a right answer can be known."""

from collections.abc import Sequence

import duckdb
import polars as pl
import pytest

from assets.training_sets.pair_statistics import pair_statistics

A_OVER_B = ("a", "b")
B_OVER_A = ("b", "a")


@pytest.mark.parametrize(
    ("lengths", "roles", "expected"),
    [
        ([(2, 1), (3, 1)], [A_OVER_B, A_OVER_B], (1.0, 1.0, 1.0, 0)),
        ([(1, 2), (1, 3)], [A_OVER_B, B_OVER_A], (0.0, 0.0, 0.5, 0)),
        ([(2, 2), (2, 2)], [A_OVER_B, B_OVER_A], (0.0, 0.5, 0.5, 0)),  # of equal length
        ([(1, 2), (4, 3)], [A_OVER_B, A_OVER_B], (0.5, 0.5, 1.0, 0)),
        ([(10, 1), (9, 1)], [A_OVER_B, A_OVER_B], (1.0, 1.0, 1.0, 1)),
        ([(2, 1), (2, 1), (2, 1), (1, 2)], [A_OVER_B, A_OVER_B, A_OVER_B, B_OVER_A], (0.75, 0.75, 0.75, 0)),
    ],
)
def test_length_and_role(
    lengths: Sequence[tuple[int, int]], roles: Sequence[tuple[str, str]], expected: tuple[float, float, float, int]
) -> None:
    released = pl.DataFrame(
        {
            "chosen": [[{"role": "assistant", "content": "x" * chosen}] for chosen, _ in lengths],
            "rejected": [[{"role": "assistant", "content": "x" * rejected}] for _, rejected in lengths],
            "chosen_role": [chosen for chosen, _ in roles],
            "rejected_role": [rejected for _, rejected in roles],
        }
    )
    with duckdb.connect() as connection:
        connection.register("released", released.to_arrow())
        found = pair_statistics(connection)
    names = ("chosen_longer", "length_auc", "role_accuracy", "much_longer")
    assert (found["pairs"], *(found[name] for name in names)) == (len(lengths), *expected)
