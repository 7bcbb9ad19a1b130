import numpy as np
import pytest

from assets.framework.near_duplicates import NearDuplicateIndex, bands, group_near_duplicates, shared_buckets

LONG = (
    "A farmer has a field with {} rows of cabbages and every row has exactly the same number of cabbages as the first "
    "row of the field next to it. On Monday the farmer picks some of them and sells them at the market in the town for "
    "two dollars each. How many dollars does the farmer earn on Monday if the first row has ten cabbages?"
)
FIVE, SIX = LONG.format("five"), LONG.format("six")


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("How many legs has a cat?", "how many  LEGS has a cat?", True),
        (FIVE, SIX, True),
        ("yes", "Yes", True),
        ("What is 7 + 5?", "What is 7 * 5?", False),
        ("What is 7 + 5?", "What is 7 + 6?", False),
        ("Tom has 3 apples and buys 4 more. How many has he?", "Ann has 5 pears and picks 6 more. How many?", False),
        ("?", "!", False),
        ("yes", "no", False),
    ],
)
def test_groups_and_index_agree_on_what_is_a_near_duplicate(one: str, other: str, near: bool) -> None:
    assert group_near_duplicates([], [("a", one), ("b", other)], 0.8) == {"a": "a", "b": "a" if near else "b"}
    index = NearDuplicateIndex(0.8)
    index.add(one)
    assert [number for number, _ in index.find(other)] == ([0] if near else [])


@pytest.mark.parametrize(
    ("representatives", "newcomers", "threshold", "groups"),
    [
        pytest.param([], [], 0.8, {}, id="nothing is found for nothing"),
        pytest.param([("known", FIVE)], [("new", SIX)], 0.8, {"new": "known"}, id="a new text joins a known group"),
        pytest.param(
            [("a", FIVE.replace("Monday", "Tuesday")), ("b", FIVE)],
            [("new", SIX)],
            0.5,
            {"new": "b"},
            id="a new text joins the most similar of two",
        ),
        pytest.param(
            [],
            [("a", FIVE), ("b", SIX), ("c", LONG.format("FIVE"))],
            1.0,
            {"a": "a", "b": "b", "c": "a"},
            id="at threshold one only the same words are near-duplicates",
        ),
        pytest.param(
            [],
            [("a", FIVE), ("b", " ".join(FIVE.split()[12:])), ("c", " ".join(FIVE.split()[24:]))],
            0.65,
            {"a": "a", "b": "a", "c": "c"},
            id="a text that joined a group represents nothing",
        ),
    ],
)
def test_groups(
    representatives: list[tuple[str, str]], newcomers: list[tuple[str, str]], threshold: float, groups: dict[str, str]
) -> None:
    assert group_near_duplicates(representatives, newcomers, threshold) == groups


def test_the_index_gives_the_exact_similarity_of_each_near_duplicate() -> None:
    index = NearDuplicateIndex(0.5)
    for text in ("a b c d e", "x y z", "a b c d"):
        index.add(text)
    assert index.find("a b c d") == [(0, pytest.approx(2 / 3)), (2, 1.0)]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("recall", [0.99, 0.999999])
def test_bands_find_nearly_all_pairs_at_the_threshold(threshold: float, recall: float) -> None:
    count = bands(threshold, 120, recall)
    assert 120 % count == 0
    assert 1 - (1 - threshold ** (120 // count)) ** count >= recall


def test_signatures_share_a_bucket_where_a_band_of_them_is_equal() -> None:
    signatures = np.array([[1, 2, 3, 4], [1, 2, 9, 9], [7, 7, 3, 4]], dtype=np.uint32)
    first, second = shared_buckets(signatures, 2).T
    assert first[0] == first[1] != second[0] == second[2]
    assert (first[2], second[1]) == (-1, -1)
