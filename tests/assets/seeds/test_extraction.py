import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from assets.seeds.extraction import Pair, question_answers
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
        (found,) = question_answers(SourceRow("sums.jsonl", 7, values), configure(source).sources[0], max_characters)
        return found

    return run


@pytest.fixture
def extract_all(configure: "Configure") -> Any:
    """Extract every pair of a conversation; a rejected row is given as its reason."""

    def run(messages: Any, max_characters: int = 1000, **source: Any) -> list[Pair | str]:
        configured = configure({"conversations": True, "multi_turn": "all"} | source).sources[0]
        found = question_answers(SourceRow("chats.jsonl", 7, {"conversations": messages}), configured, max_characters)
        return [one if isinstance(one, Pair) else one.reason for one in found]

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
        (TWO_TURNS, {"system": "system"}, PARIS),
        (TWO_TURNS[1:], {"system": "system"}, Pair("Be kind.", "Capital of France?", "Paris.")),
        (TWO_TURNS[1:], {"system": "none"}, Pair(None, "Capital of France?", "Paris.")),
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
        "a system message and a field",
        "a field with the system prompt",
        "a row without the field",
        "after a greeting",
    ],
)
def test_the_pair_of_a_conversation(extract: Any, messages: Any, source: dict[str, Any], pair: Pair) -> None:
    row = {"messages": messages, "system": "Be kind."}
    assert extract(row, conversations="messages", **source) == pair


def test_rows_of_several_turns_can_be_rejected(extract: Any) -> None:
    assert extract({"conversations": TWO_TURNS}, conversations=True, multi_turn="set_aside").reason == "multi_turn"


# -- several turns -----------------------------------------------------------------------------------------------------

ITALY = Pair(
    "Be brief.", "Earlier question:\nCapital of France?\n\nEarlier answer:\nParis.\n\nQuestion:\nOf Italy?", "Rome."
)
TOOL = {"from": "tool", "value": "It rains."}


def said(*texts: str) -> list[dict[str, str]]:
    """Messages of a user (`?` at the end) and an assistant."""
    return [{"role": "user" if text.endswith("?") else "assistant", "content": text} for text in texts]


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (TWO_TURNS, [PARIS, ITALY]),
        (TWO_TURNS[:3], [PARIS]),
        (TWO_TURNS[:4], [PARIS]),
        ([TWO_TURNS[0], {"from": "gpt", "value": "Hello!"}, *TWO_TURNS[1:]], [PARIS, ITALY]),
        ([TWO_TURNS[1], *TWO_TURNS[0:1], *TWO_TURNS[2:]], [Pair("Be brief.", ITALY.question, "Rome.")]),
        (
            [*TWO_TURNS[:2], TWO_TURNS[3], TWO_TURNS[4]],
            [Pair("Be brief.", "Earlier question:\nCapital of France?\n\nQuestion:\nOf Italy?", "Rome.")],
        ),
        (
            said("A?", "<think>x</think>1", "B?", "<think>y</think>2"),
            [
                Pair(None, "A?", "1"),
                Pair(None, "Earlier question:\nA?\n\nEarlier answer:\n1\n\nQuestion:\nB?", "2"),
            ],
        ),
        ([*TWO_TURNS[:3], TOOL, *TWO_TURNS[3:]], [PARIS, "unknown_role"]),
        ([*TWO_TURNS, TOOL], [PARIS, ITALY]),
        (said("A?", "1", "B?", "<think>2"), [Pair(None, "A?", "1"), "reasoning"]),
        (said("A?", "1", "B?", " ", "C?", "3"), [Pair(None, "A?", "1"), "empty_answer"]),
        (said("A?", "1" * 900, "B?" * 90, "2", "C?", "3"), [Pair(None, "A?", "1" * 900), "long_conversation"]),
    ],
    ids=[
        "two pairs",
        "one pair",
        "a last question without an answer",
        "a greeting",
        "a system prompt within a pair",
        "a question without an answer",
        "reasoning",
        "a message of an unknown role",
        "an unknown role at the end",
        "reasoning without an end",
        "an empty answer",
        "a long conversation",
    ],
)
def test_every_pair_of_a_conversation_has_what_was_said_before_it(
    extract_all: Any, messages: Any, found: list[Pair | str]
) -> None:
    assert extract_all(messages) == found


# -- reasoning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "<think>6 * 7</think>\n\n42",
        "6 * 7</think>42",
        "<think>\n\n</think>\n\n42",
        "<|begin_of_thought|>6 * 7<|end_of_thought|>\n\n<|begin_of_solution|>42<|end_of_solution|>",
        "<think>6 * 7</think><answer>42</answer>",
        ["<think>6 * 7</think>42", "<think>7 * 6</think>43"],
    ],
)
def test_reasoning_is_no_part_of_the_reference_answer(extract: Any, answer: Any) -> None:
    assert extract({"question": "6 * 7?", "answer": answer}, fields=FIRST) == Pair(None, "6 * 7?", "42")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "<think>6 * 7</think>42"},
        {"role": "assistant", "content": "42", "reasoning_content": "6 * 7"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "6 * 7"}, {"type": "text", "text": "42"}]},
    ],
)
def test_reasoning_is_no_part_of_a_message(extract: Any, message: dict[str, Any]) -> None:
    for between in ([], [{"role": "thinking", "content": "6 * 7"}]):
        messages = [*said("6 * 7?"), *between, message]
        assert extract({"conversations": messages}, conversations=True) == Pair(None, "6 * 7?", "42")


def test_reasoning_does_not_count_for_the_longest_answer(extract: Any) -> None:
    assert extract({"question": "6 * 7?", "answer": f"<think>{'6' * 2000}</think>42"}).answer == "42"


@pytest.mark.parametrize(
    "answer",
    [
        "<think>6 * 7",
        "<think>6 * 7</think>",
        "42 <think>no</think>",
        "<think>6</think>42<think>7</think>43",
        "42 <think>",
    ],
)
def test_reasoning_that_cannot_be_separated_rejects_the_row(extract: Any, answer: str) -> None:
    assert extract({"question": "6 * 7?", "answer": answer}).reason == "reasoning"


@pytest.mark.parametrize("answer", ["Dear [name], the [reason] is:", "Use `<reason>x</reason>` in XML.", "a < b"])
def test_other_marks_stay_in_an_answer(extract: Any, answer: str) -> None:
    assert extract({"question": "How?", "answer": answer}).answer == answer


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


TESTED = {"fields": {"question": "text", "answer": "code", "tests": ["setup", "test_list"]}, "domain": "code"}
ADD = {"text": "Add.", "code": "def add(a, b): return a + b"}


@pytest.mark.parametrize(
    ("values", "tests"),
    [
        (
            {"test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]},
            "assert add(1, 2) == 3\nassert add(0, 0) == 0",
        ),
        ({"setup": "import math", "test_list": "assert add(1, 2) == 3"}, "import math\n\nassert add(1, 2) == 3"),
        ({"setup": "", "test_list": []}, None),
        ({}, None),
    ],
)
def test_tests_of_code_are_read_where_a_row_has_them(extract: Any, values: dict[str, Any], tests: str | None) -> None:
    assert extract(ADD | values, **TESTED).tests == tests


def test_a_row_whose_tests_are_no_python_is_rejected(extract: Any) -> None:
    found = extract(ADD | {"test_list": ["assert add(1, 2 == 3"]}, **TESTED)
    assert (found.reason, "the tests are no Python" in found.detail) == ("invalid_tests", True)


def test_tests_need_the_domain_code(configure: "Configure") -> None:
    with pytest.raises(ValueError, match=r"`fields\.tests` are tests of code, and the domain is math"):
        configure(TESTED | {"domain": "math"})
