"""Who is `human` and who is `gpt`: how turns of several speakers become a conversation of two sides (METHOD: ShareGPT).

| scenario | human | gpt |
| --- | --- | --- |
| error correction | teacher: the question, then the review | student: the first answer, then the corrected one |
| debate | teacher: the question; student B: every word | student A: every word; student C: the close |
| analogy | teacher: question and approach, then the similar question | student: both answers |

A debate of two rounds runs teacher, A, B, A, B, C, one of a single round teacher, A, B, C: B always speaks between
two whose side is `gpt`, so the sides alternate and no side speaks twice in a row. Loss therefore falls on A and C.
Where several students speak, every turn is headed by its speaker's name: who is `gpt` changes from A to C.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from assets.framework.partitions import Scenario

Side = Literal["human", "gpt"]

TEACHER = "teacher"
STUDENT = "student"
STUDENT_A = "student A"
STUDENT_B = "student B"
STUDENT_C = "student C"

SIDES: Mapping[Scenario, Mapping[str, Side]] = {
    Scenario.ERROR_CORRECTION: {TEACHER: "human", STUDENT: "gpt"},
    Scenario.DEBATE: {TEACHER: "human", STUDENT_A: "gpt", STUDENT_B: "human", STUDENT_C: "gpt"},
    Scenario.ANALOGY: {TEACHER: "human", STUDENT: "gpt"},
}
HEADED = frozenset({Scenario.DEBATE})  # several students speak


# The functional form, because `from` is a Python keyword.
ShareGptMessage = TypedDict("ShareGptMessage", {"from": Side, "value": str, "trains": bool})


def speakers(scenario: Scenario, debate_rounds: int | None = None) -> tuple[str, ...]:
    """Who speaks, turn by turn, in a complete dialogue."""
    if scenario is Scenario.DEBATE:
        return (TEACHER, *(STUDENT_A, STUDENT_B) * (debate_rounds or 1), STUDENT_C)
    return (TEACHER, STUDENT, TEACHER, STUDENT)


def side_of(scenario: Scenario, speaker: str) -> Side:
    """The side that a speaker's words are on. Raises KeyError for a speaker that the scenario does not have."""
    return SIDES[scenario][speaker]


def titled(speaker: str) -> str:
    """A speaker's name as a heading: `student A` -> `Student A`."""
    return speaker[0].upper() + speaker[1:]


def conversation(scenario: Scenario, turns: Sequence[Mapping[str, Any]]) -> list[ShareGptMessage]:
    """A complete dialogue's turns as ShareGPT messages, strictly alternating and starting with `human`.

    Args:
        scenario: whose table of sides holds.
        turns: rows of the `turns` column, with `speaker`, `text` and `trains`.

    Returns:
        `{"from", "value", "trains"}` per turn; `trains` is never set on the human side.

    Raises:
        ValueError: the turns do not alternate, or do not end with `gpt`; such a dialogue must not be exported.
    """
    messages: list[ShareGptMessage] = []
    for turn in turns:
        side = side_of(scenario, turn["speaker"])
        value = f"{titled(turn['speaker'])}: {turn['text']}" if scenario in HEADED else turn["text"]
        messages.append({"from": side, "value": value, "trains": side == "gpt" and bool(turn["trains"])})
    order = [message["from"] for message in messages]
    if not order or len(order) % 2 or order != ["human", "gpt"] * (len(order) // 2):
        raise ValueError(f"the turns of this {scenario.value} do not alternate between human and gpt: {order}")
    return messages
