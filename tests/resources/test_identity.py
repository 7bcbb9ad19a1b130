from hypothesis import given
from hypothesis import strategies as st

from resources.identity import draw, draw_index, draw_one, stable_hash


def test_a_hash_never_changes() -> None:
    assert stable_hash("gsm8k", "What is 1 + 1?", "2") == "2d16fcf43bce39c79648ec24f1260aaf"


def test_order_and_borders_of_parts_matter() -> None:
    assert len({stable_hash("ab", "c"), stable_hash("a", "bc"), stable_hash("c", "ab")}) == 3


@given(st.text())
def test_a_draw_lies_in_the_unit_interval(part: str) -> None:
    assert 0 <= draw(part) < 1


def test_draws_follow_the_shares() -> None:
    counts = [0, 0, 0]
    for number in range(3000):
        counts[draw_index([0.5, 0.3, 0.2], "seed", number)] += 1
    assert abs(counts[0] - 1500) < 120
    assert abs(counts[2] - 600) < 120


@given(st.lists(st.integers(), min_size=1), st.text())
def test_one_of_the_items_is_drawn(items: list[int], part: str) -> None:
    assert draw_one(items, part) in items
