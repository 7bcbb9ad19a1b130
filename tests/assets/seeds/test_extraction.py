import json
from decimal import Decimal
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


JOINED = {"question": ["instruction", "input"], "answer": "output"}
WITH_SYSTEM = {"question": "q", "answer": "a", "system": "s"}
FIRST = {"question": "question", "answer": "answer", "list_answer": "first"}
LINES = FIRST | {"list_answer": "joined"}
NESTED = {"question": "question", "answer": "answers.text"}
THAT = Pair(None, "What?", "That.")
SORT = {"instruction": "Sort.", "input": "b a", "output": "a b"}
BRIEF = {"q": "What?", "a": "That.", "s": "Be brief."}


@pytest.mark.parametrize(
    ("values", "source", "pair"),
    [
        ({"question": " What?\r\n", "answer": "That.\u200b"}, {}, Pair(None, "What?", "That.")),
        ({"question": "6 * 7?", "answer": 42}, {}, Pair(None, "6 * 7?", "42")),
        ({"question": "3 / 2?", "answer": 1.5}, {}, Pair(None, "3 / 2?", "1.5")),
        ({"question": "2**1100?", "answer": 2**1100}, {}, Pair(None, "2**1100?", str(2**1100))),
        ({"question": "1 / 4?", "answer": Decimal("0.250")}, {}, Pair(None, "1 / 4?", "0.25")),
        ({"question": "Is 4 even?", "answer": True}, {}, Pair(None, "Is 4 even?", "true")),
        ({"question": "What?", "answer": ["That."]}, {}, Pair(None, "What?", "That.")),
        ({"question": "What?", "answer": ["This.", 2]}, {"fields": FIRST}, Pair(None, "What?", "This.")),
        ({"question": "What?", "answer": ["This.", 2]}, {"fields": LINES}, Pair(None, "What?", "This.\n2")),
        ({"question": "What?", "answers": {"text": ["That."], "start": [5]}}, {"fields": NESTED}, THAT),
        ({"question": "What?", "answers": [{"text": "That."}]}, {"fields": NESTED}, THAT),
        ({"question": "What?", "answers.text": "That."}, {"fields": NESTED}, THAT),
        (SORT, {"fields": JOINED}, Pair(None, "Sort.\n\nInput:\nb a", "a b")),
        (SORT | {"input": "Input: b a"}, {"fields": JOINED}, Pair(None, "Sort.\n\nInput: b a", "a b")),
        (SORT | {"instruction": ""}, {"fields": JOINED}, Pair(None, "b a", "a b")),
        (
            {"task": "Sort.", "row": {"given_list": "b a"}, "output": "a b"},
            {"fields": JOINED | {"question": ["task", "row.given_list"]}},
            Pair(None, "Sort.\n\nGiven list:\nb a", "a b"),
        ),
        (SORT | {"input": ""}, {"fields": JOINED}, Pair(None, "Sort.", "a b")),
        (SORT | {"input": None}, {"fields": JOINED}, Pair(None, "Sort.", "a b")),
        (SORT | {"input": "  "}, {"fields": JOINED}, Pair(None, "Sort.", "a b")),
        (BRIEF, {"fields": WITH_SYSTEM}, Pair("Be brief.", "What?", "That.")),
        (BRIEF, {"fields": WITH_SYSTEM, "keep_system": False}, Pair(None, "What?", "That.")),
        (BRIEF | {"s": None}, {"fields": WITH_SYSTEM}, Pair(None, "What?", "That.")),
    ],
)
def test_the_pair_of_a_row_with_fields(
    extract: Any, values: dict[str, Any], source: dict[str, Any], pair: Pair
) -> None:
    assert extract(values, **source) == pair


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"question": "What?"}, "missing_field"),
        ({"question": "What?", "answer": ""}, "empty_answer"),
        ({"question": "What?", "answer": None}, "empty_answer"),
        ({"question": " \u200b\n", "answer": "That."}, "empty_question"),
        ({"question": 42, "answer": "That."}, "wrong_type"),
        ({"question": "What?", "answer": ["This.", "That."]}, "wrong_type"),
        ({"question": "What?", "answer": []}, "empty_answer"),
        ({"question": "What?", "answer": {"text": "That."}}, "wrong_type"),
        ({"question": ["This?", "That?"], "answer": "Yes."}, "wrong_type"),
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


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (["This.", "That."], "write `list_answer: first` or `list_answer: joined` under `fields`"),
        ({"text": "That."}, "write `answer.text`"),
    ],
)
def test_a_rejected_answer_names_the_line_that_reads_it(extract: Any, answer: Any, advice: str) -> None:
    assert advice in extract({"question": "What?", "answer": answer}).detail


PARIS = Pair("Be brief.", "Capital of France?", "Paris.")
AS_ROLES = [
    {"role": {"human": "user", "gpt": "assistant"}.get(turn["from"], "system"), "content": turn["value"]}
    for turn in TWO_TURNS
]


def renamed(human: str, gpt: str) -> list[dict[str, str]]:
    """TWO_TURNS with other names of the speakers."""
    return [turn | {"from": {"human": human, "gpt": gpt}.get(turn["from"], "system")} for turn in TWO_TURNS]


@pytest.mark.parametrize(
    ("messages", "source", "pair"),
    [
        (TWO_TURNS, {}, PARIS),
        (AS_ROLES, {}, PARIS),
        (TWO_TURNS[:3], {"multi_turn": "set_aside"}, PARIS),
        (json.dumps(TWO_TURNS), {}, PARIS),
        ({"from": [turn["from"] for turn in TWO_TURNS], "value": [turn["value"] for turn in TWO_TURNS]}, {}, PARIS),
        (
            [
                {"role": turn["role"].upper(), "content": [{"type": "text", "text": turn["content"]}]}
                for turn in AS_ROLES
            ],
            {},
            PARIS,
        ),
        ([{"role": turn["role"], "parts": [turn["content"]]} for turn in AS_ROLES], {}, PARIS),
        (renamed("User", "chatgpt"), {}, PARIS),
        (renamed("prompter", "model"), {}, PARIS),
        (renamed("Patient", "Doctor"), {"roles": {"question": "patient", "answer": "doctor"}}, PARIS),
        ([{"from": "gpt", "value": "Hello!"}, *TWO_TURNS[1:3]], {}, Pair(None, "Capital of France?", "Paris.")),
    ],
    ids=[
        "the first of several turns",
        "roles and contents",
        "a single turn",
        "JSON text",
        "columns",
        "capitals and parts",
        "parts of Gemini",
        "User and chatgpt",
        "prompter and model",
        "configured roles",
        "after a greeting",
    ],
)
def test_the_pair_of_a_conversation(extract: Any, messages: Any, source: dict[str, Any], pair: Pair) -> None:
    assert extract({"messages": messages}, conversations="messages", **source) == pair


def test_rows_of_several_turns_can_be_rejected(extract: Any) -> None:
    assert extract({"conversations": TWO_TURNS}, conversations=True, multi_turn="set_aside").reason == "multi_turn"


TREE = {"a": {"message": None, "children": ["b"]}, "b": {"message": {"author": {"role": "user"}}, "children": []}}


@pytest.mark.parametrize(
    ("conversations", "detail"),
    [
        ("human: hi", "is text, and no list of messages as JSON"),
        (TREE, "is a tree of messages, as ChatGPT exports it; convert"),
        (renamed("Patient", "Doctor"), "the roles Doctor, Patient are not known: write `roles:"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, AS_ROLES[2]], "is a part of type image_url"),
        (["hi", "hello"], "should be a list of messages, is list"),
    ],
)
def test_a_conversation_of_an_unknown_form_is_named(extract: Any, conversations: Any, detail: str) -> None:
    assert detail in extract({"conversations": conversations}, conversations=True).detail


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
