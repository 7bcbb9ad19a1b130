"""Seeds of one conversation and near-duplicates have one representative."""

import pytest

from assets.seeds.groups import join_conversations

XY = {"x1": ("x1", "x2"), "x2": ("x1", "x2"), "y1": ("y1", "y2"), "y2": ("y1", "y2")}


@pytest.mark.parametrize(
    ("near", "conversations", "known", "groups"),
    [
        ({"a": "a", "b": "a"}, {}, {}, {"a": "a", "b": "a"}),
        ({"x1": "x1", "x2": "x2"}, XY, {}, {"x1": "x1", "x2": "x1"}),
        ({"x2": "x2"}, XY, {"x1": "x1"}, {"x2": "x1"}),
        ({"x2": "x2"}, XY, {"x1": "a"}, {"x2": "a"}),
        ({"x2": "b"}, XY, {"x1": "a"}, {"x2": "a"}),
        ({"x1": "a", "x2": "x2"}, XY, {}, {"x1": "a", "x2": "a"}),
        ({"x1": "b", "x2": "a"}, XY, {}, {"x1": "a", "x2": "a"}),
        ({"x2": "x2", "z": "x2"}, XY, {"x1": "a"}, {"x2": "a", "z": "a"}),
        ({"x1": "b", "x2": "a", "z": "b"}, XY, {}, {"x1": "a", "x2": "a", "z": "b"}),
        ({"x1": "x1", "x2": "x2", "y1": "x1", "y2": "y2"}, XY, {}, dict.fromkeys(XY, "x1")),
        ({"x2": "x2", "y2": "y2"}, {"x2": ("h", "x2"), "y2": ("h", "y2")}, {}, {"x2": "x2", "y2": "x2"}),
    ],
    ids=[
        "near-duplicates alone",
        "a new conversation",
        "a known seed of the conversation",
        "a known seed of another group",
        "the known seed takes precedence over a near-duplicate",
        "a near-duplicate of a known seed",
        "near-duplicates of two groups",
        "a near-duplicate of a new seed of a known conversation",
        "a single seed stays with its near-duplicate",
        "two conversations with near-duplicates",
        "two conversations with the same beginning, which is not in the sample",
    ],
)
def test_the_representative_of_each_new_seed(
    near: dict[str, str], conversations: dict[str, tuple[str, ...]], known: dict[str, str], groups: dict[str, str]
) -> None:
    assert join_conversations(near, conversations, known) == groups
