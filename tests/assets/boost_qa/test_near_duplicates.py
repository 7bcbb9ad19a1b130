"""Which dialogues leave validation and test."""

import pytest

from assets.boost_qa.near_duplicates import DialogueQuestions, near_duplicates

APPLES = "Ann has three red apples and buys four more apples at the market. How many apples does she have now?"
ALMOST = APPLES.replace("Ann", "Tom").replace("?", " ?")
OTHER = "How far does a train go in three hours at sixty miles an hour?"


@pytest.mark.parametrize(
    ("dialogues", "removed"),
    [
        ([("a", "train", APPLES), ("b", "test", ALMOST), ("c", "validation", OTHER)], {"b": "a"}),
        ([("a", "validation", APPLES), ("b", "test", ALMOST)], {"b": "a"}),
        # a validation copy that leaves removes no test copy, but training does
        ([("t", "train", APPLES), ("v", "validation", ALMOST), ("x", "test", APPLES)], {"v": "t", "x": "t"}),
        ([("a", "test", APPLES), ("b", "test", APPLES)], {}),  # within a split
        ([("a", "train", OTHER, APPLES), ("b", "test", ALMOST)], {"b": "a"}),  # an analogy has two questions
        ([("a", "train", "3 + 4"), ("b", "test", "3 * 4")], {}),
        ([("a", "train", "Capital?"), ("b", "test", "capital?")], {"b": "a"}),
    ],
)
def test_the_copy_in_the_earlier_split_is_kept(dialogues: list[tuple[str, ...]], removed: dict[str, str]) -> None:
    given = [DialogueQuestions(name, split, tuple(questions)) for name, split, *questions in dialogues]
    found = near_duplicates(sorted(given, key=lambda one: one.split == "train"), 0.7)
    assert {pair.dialogue_id: pair.kept for pair in found} == removed
