import numpy as np
import pytest

from assets.seeds.configuration import Duplicates
from assets.seeds.duplicates import bands, group_duplicates, shared_buckets

RULES = Duplicates()
LONG = (
    "A farmer has a field with {} rows of cabbages and every row has exactly the same number of cabbages as the first "
    "row of the field next to it. On Monday the farmer picks some of them and sells them at the market in the town for "
    "two dollars each. How many dollars does the farmer earn on Monday if the first row has ten cabbages?"
)


def test_the_same_question_in_other_case_and_spacing_is_a_duplicate() -> None:
    groups = group_duplicates([], [("a", "How many legs has a cat?"), ("b", "how many  LEGS has a cat?")], RULES)
    assert groups == {"a": "a", "b": "a"}


def test_long_questions_that_differ_in_a_word_are_duplicates() -> None:
    groups = group_duplicates([], [("a", LONG.format("five")), ("b", LONG.format("six"))], RULES)
    assert groups == {"a": "a", "b": "a"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 7 + 5?", "What is 7 * 5?"),
        ("What is 7 + 5?", "What is 7 + 6?"),
        ("Tom has 3 apples and buys 4 more. How many has he?", "Ann has 5 pears and picks 6 more. How many has she?"),
        ("?", "!"),
    ],
)
def test_different_questions_stand_for_themselves(one: str, other: str) -> None:
    assert group_duplicates([], [("a", one), ("b", other)], RULES) == {"a": "a", "b": "b"}


def test_a_new_seed_joins_a_held_representative() -> None:
    assert group_duplicates([("held", LONG.format("five"))], [("new", LONG.format("six"))], RULES) == {"new": "held"}


def test_a_new_seed_joins_the_closest_of_two() -> None:
    close, far = LONG.format("five"), LONG.format("five").replace("Monday", "Tuesday")
    rules = Duplicates(threshold=0.5)
    assert group_duplicates([("a", far), ("b", close)], [("new", LONG.format("six"))], rules) == {"new": "b"}


def test_at_threshold_one_only_the_same_words_are_duplicates() -> None:
    rules = Duplicates(threshold=1.0)
    rows = [("a", LONG.format("five")), ("b", LONG.format("six")), ("c", LONG.format("FIVE"))]
    assert group_duplicates([], rows, rules) == {"a": "a", "b": "b", "c": "a"}


def test_nothing_is_found_for_nothing() -> None:
    assert group_duplicates([], [], RULES) == {}


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
def test_the_index_finds_nearly_all_pairs_at_the_threshold(threshold: float) -> None:
    rules = Duplicates(threshold=threshold)
    count = bands(rules)
    assert rules.num_perm % count == 0
    assert 1 - (1 - threshold ** (rules.num_perm // count)) ** count >= 0.99


def test_signatures_share_a_bucket_where_a_band_of_them_is_equal() -> None:
    signatures = np.array([[1, 2, 3, 4], [1, 2, 9, 9], [7, 7, 3, 4]], dtype=np.uint32)
    first, second = shared_buckets(signatures, 2).T
    assert first[0] == first[1] != second[0] == second[2]
    assert (first[2], second[1]) == (-1, -1)


def test_who_joined_a_group_stands_for_nobody() -> None:
    rules = Duplicates(threshold=0.65)
    words = LONG.format("five").split()
    further, furthest = " ".join(words[12:]), " ".join(words[24:])
    groups = group_duplicates([], [("a", LONG.format("five")), ("b", further), ("c", furthest)], rules)
    assert groups == {"a": "a", "b": "a", "c": "c"}
