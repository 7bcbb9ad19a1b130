from typing import TYPE_CHECKING, Any

import pytest

from assets.seeds.extraction import Pair, question_answer
from assets.seeds.rows import RejectedRow, SourceRow

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure

TWO_TURNS = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "Capital of France?"},
    {"from": "gpt", "value": "Paris."},
    {"from": "human", "value": "Of Italy?"},
    {"from": "gpt", "value": "Rome."},
]


@pytest.fixture
def extract(configure: "Configure") -> Any:
    """Extract the pair of one row: extract({"question": …}, fields=…, …)."""

    def run(values: dict[str, Any], max_characters: int = 1000, **source: Any) -> Pair | RejectedRow:
        return question_answer(SourceRow("sums.jsonl", 7, values), configure(source).sources[0], max_characters)

    return run


def test_question_and_answer_are_normalised(extract: Any) -> None:
    assert extract({"question": " What?\r\n", "answer": "That.\u200b"}) == Pair(None, "What?", "That.")


def test_several_fields_are_joined_and_empty_ones_left_out(extract: Any) -> None:
    fields = {"question": ["instruction", "input"], "answer": "output"}
    full = {"instruction": "Sort.", "input": "b a", "output": "a b"}
    assert extract(full, fields=fields) == Pair(None, "Sort.\n\nb a", "a b")
    for empty in ({"input": ""}, {"input": None}, {"input": "  "}):
        assert extract(full | empty, fields=fields) == Pair(None, "Sort.", "a b")


def test_the_system_field_is_kept_or_dropped(extract: Any) -> None:
    fields = {"question": "q", "answer": "a", "system": "s"}
    row = {"q": "What?", "a": "That.", "s": "Be brief."}
    assert extract(row, fields=fields).system == "Be brief."
    assert extract(row, fields=fields, keep_system=False).system is None
    assert extract(row | {"s": None}, fields=fields).system is None


def test_a_number_is_an_answer(extract: Any) -> None:
    assert extract({"question": "6 * 7?", "answer": 42}).answer == "42"
    assert extract({"question": "3 / 2?", "answer": 1.5}).answer == "1.5"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"question": "What?"}, "missing_field"),
        ({"question": "What?", "answer": ""}, "empty_answer"),
        ({"question": "What?", "answer": None}, "empty_answer"),
        ({"question": " \u200b\n", "answer": "That."}, "empty_question"),
        ({"question": 42, "answer": "That."}, "wrong_type"),
        ({"question": "What?", "answer": ["That."]}, "wrong_type"),
        ({"question": "What?", "answer": True}, "wrong_type"),
        ({"question": "What?", "answer": float("nan")}, "wrong_type"),
        ({"question": "What?", "answer": "a" * 1001}, "oversized"),
    ],
)
def test_a_row_without_a_pair_is_rejected_with_its_reason(extract: Any, values: dict[str, Any], reason: str) -> None:
    rejected = extract(values)
    assert isinstance(rejected, RejectedRow)
    assert (rejected.reason, rejected.origin_file, rejected.origin_row) == (reason, "sums.jsonl", 7)


def test_an_answer_of_ten_megabytes_leaves_a_short_detail(extract: Any) -> None:
    rejected = extract({"question": "What?", "answer": "long " * 2_000_000}, max_characters=16_000)
    assert isinstance(rejected, RejectedRow)
    assert rejected.reason == "oversized"
    assert "10,000,000" in rejected.detail
    assert len(rejected.detail) < 500


def test_of_several_turns_the_first_pair_is_taken_with_the_system_prompt(extract: Any) -> None:
    assert extract({"conversations": TWO_TURNS}, conversations=True) == Pair(
        "Be brief.", "Capital of France?", "Paris."
    )


def test_role_and_content_mean_the_same(extract: Any) -> None:
    names = {"human": "user", "gpt": "assistant", "system": "system"}
    messages = [{"role": names[turn["from"]], "content": turn["value"]} for turn in TWO_TURNS]
    assert extract({"messages": messages}, conversations="messages") == Pair(
        "Be brief.", "Capital of France?", "Paris."
    )


def test_a_greeting_before_the_question_is_skipped(extract: Any) -> None:
    messages = [{"from": "gpt", "value": "Hello!"}, *TWO_TURNS[1:3]]
    assert extract({"conversations": messages}, conversations=True).question == "Capital of France?"


def test_rows_of_several_turns_can_be_rejected(extract: Any) -> None:
    rejected = extract({"conversations": TWO_TURNS}, conversations=True, multi_turn="set_aside")
    assert rejected.reason == "multi_turn"
    assert isinstance(extract({"conversations": TWO_TURNS[:3]}, conversations=True, multi_turn="set_aside"), Pair)


@pytest.mark.parametrize(
    ("conversations", "reason"),
    [
        ([], "no_pair"),
        (TWO_TURNS[:2], "no_pair"),
        ("human: hi", "wrong_type"),
        (["hi"], "wrong_type"),
        ([{"value": "hi"}], "wrong_type"),
        ([{"from": "human", "value": 3}, TWO_TURNS[2]], "wrong_type"),
        ([{"from": "human", "value": ""}, TWO_TURNS[2]], "empty_question"),
    ],
)
def test_a_conversation_without_a_pair_is_rejected(extract: Any, conversations: Any, reason: str) -> None:
    assert extract({"conversations": conversations}, conversations=True).reason == reason
