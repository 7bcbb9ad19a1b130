"""The rubric: what the judge is asked about a dialogue, which follows from its scenario's declaration.

Each finding has a few allowed values, some of which are good. A bad value is a reason to reject the dialogue, with a
code of its own. The judge gives its reason before the value, so that the value follows from it and not the reverse.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assets.framework.scenarios.declaration import Say
from assets.framework.scenarios.scenario import Scenario
from assets.quality.inputs import DialogueInput

YES_NO = ("yes", "no")
LONGEST_REASON = 1000  # characters


@dataclass(frozen=True, slots=True)
class Finding:
    """One question to the judge."""

    name: str
    asks: str
    good: tuple[str, ...]  # values that are no fault
    code: str  # the rejection reason of another value
    meaning: str  # of that reason
    applies: Callable[[Scenario], bool] = lambda scenario: True
    values: tuple[str, ...] = YES_NO


def _has(condition: Callable[[Say], bool]) -> Callable[[Scenario], bool]:
    return lambda scenario: any(condition(say) for say in scenario.says)


RESULT = "result"
ABOUT_ANSWERS = (
    Finding(
        RESULT,
        "Is its result the reference answer's? Where the task has no single result: does it do what the task asks?",
        ("same", "fulfils"),
        "judged_wrong",
        "the judge finds another result than the reference's, or that the task is not fulfilled",
        values=("same", "different", "fulfils", "does_not_fulfil"),
    ),
    Finding("steps_sound", "Is every step sound?", ("yes",), "wrong_step", "the judge finds an unsound step"),
    Finding("complete", "Does it have every step or part that is needed?", ("yes",), "incomplete", "a part is missing"),
    Finding("on_task", "Does it keep to the task?", ("yes",), "off_task", "the closing answer leaves the task"),
)
"""Asked about every judged answer."""

ABOUT_DIALOGUES = (
    Finding(
        "verdict_true",
        "Is what the teacher says of the student's answer true: right called right, wrong called wrong?",
        ("yes",),
        "false_verdict",
        "the judge finds that the teacher calls a right answer wrong or a wrong one right",
        _has(lambda say: say.reviews is not None),
    ),
    Finding(
        "gave_result",
        "Does the teacher state the result, or a part of it, that the student is to find?",
        ("no",),
        "gave_result",
        "the judge finds that the teacher states the result",
        _has(lambda say: say.must_not_answer is not None),
    ),
    Finding(
        "gave_calculation",
        "Does the teacher do the calculation, or write the code, that the student is to do?",
        ("no",),
        "gave_calculation",
        "the judge finds that the teacher does the calculation",
        _has(lambda say: say.must_not_answer is not None),
    ),
    Finding(
        "stayed_in_role",
        "Does every speaker stay in the part that the transcript gives him?",
        ("yes",),
        "left_role",
        "the judge finds a speaker out of his part",
    ),
    Finding(
        "reference_betrayed",
        "Does anybody show that he was given notes, a reference or a solution?",
        ("no",),
        "betrayed_reference",
        "the judge finds a mention of the hidden reference",
    ),
    Finding(
        "spoke_for_others",
        "Does one turn go on as another speaker?",
        ("no",),
        "spoke_for_others",
        "the judge finds a turn that speaks for others",
    ),
    Finding(
        "own_view",
        "Does each of those who argue give a view of his own, and not a copy of the other's words?",
        ("yes",),
        "no_own_view",
        "the judge finds a copied view",
        _has(lambda say: say.own_words),
    ),
    Finding(
        "closer_fair",
        "Does the last speaker describe fairly what the others said?",
        ("yes",),
        "unfair_close",
        "the judge finds the others' views misrepresented",
        _has(lambda say: say.own_words),
    ),
    Finding(
        "reference_doubtful",
        "Is the reference answer itself wrong or contradictory?",
        ("no",),
        "doubtful_reference",
        "the judge finds the reference answer wrong or contradictory",
    ),
)
"""Asked once about a dialogue, where its scenario has such a turn."""

RUBRIC = tuple(
    (finding.name, finding.asks, finding.values, finding.good) for finding in (*ABOUT_ANSWERS, *ABOUT_DIALOGUES)
)
"""What a verdict depends on, for the fingerprint."""

REASONS: Mapping[str, str] = {finding.code: finding.meaning for finding in (*ABOUT_ANSWERS, *ABOUT_DIALOGUES)}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge found."""

    finding: str  # the question's key, such as `result` or `result_2`
    value: str
    good: bool
    reason: str
    code: str  # the rejection reason where it is not good


def rubric_of(scenario: Scenario) -> dict[str, Finding]:
    """The questions about a dialogue by key. Where several answers are judged, theirs are numbered: `result_2`."""
    answers = len(scenario.judged)
    asked = {
        finding.name if answers == 1 else f"{finding.name}_{number}": finding
        for number in range(1, answers + 1)
        for finding in ABOUT_ANSWERS
    }
    return asked | {finding.name: finding for finding in ABOUT_DIALOGUES if finding.applies(scenario)}


def questions_text(rubric: Mapping[str, Finding], dialogue: DialogueInput) -> str:
    """The rubric as text for the judge's prompt."""
    lines = []
    for key, finding in rubric.items():
        number = key.rpartition("_")[2]
        about = f"The answer to question {number}: " if number.isdigit() else ""
        values = _values(key, finding, dialogue)
        lines.append(f'"{key}" ({" or ".join(values)}): {about}{finding.asks}')
    return "\n".join(lines)


def _values(key: str, finding: Finding, dialogue: DialogueInput) -> tuple[str, ...]:
    """Where the reference has a final answer, the result is the same or different; an open task is fulfilled or not."""
    if finding.name != RESULT:
        return finding.values
    number = key.rpartition("_")[2]
    question = dialogue.questions[int(number) - 1 if number.isdigit() else 0]
    return finding.values[:2] if question.reference_final else finding.values


def verdict_schema(rubric: Mapping[str, Finding]) -> dict[str, Any]:
    """The JSON schema of a verdict, in the subset that strict structured outputs know, its keys in order."""
    return {
        "type": "object",
        "properties": {
            key: {
                "type": "object",
                "properties": {
                    "reason": {"type": "string"},
                    "value": {"type": "string", "enum": list(finding.values)},
                },
                "required": ["reason", "value"],
                "additionalProperties": False,
            }
            for key, finding in rubric.items()
        },
        "required": list(rubric),
        "additionalProperties": False,
    }


def read_findings(rubric: Mapping[str, Finding], content: Any) -> tuple[Judged, ...]:
    """The findings of a verdict's parsed JSON.

    Raises:
        ValueError: it is no object of exactly these keys and allowed values; the message says what.
    """
    if not isinstance(content, dict):
        raise ValueError("not one JSON object")
    if missing := [key for key in rubric if key not in content]:
        raise ValueError(f"without {', '.join(missing)}")
    if unknown := [key for key in content if key not in rubric]:
        raise ValueError(f"unknown key {str(unknown[0])[:40]!r}")
    return tuple(_read(key, finding, content[key]) for key, finding in rubric.items())


def _read(key: str, finding: Finding, given: Any) -> Judged:
    if not isinstance(given, dict) or set(given) != {"reason", "value"}:
        raise ValueError(f"{key}: not an object of `reason` and `value`")
    reason, value = given["reason"], given["value"]
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"{key}: without a reason")
    if value not in finding.values:
        raise ValueError(f"{key}: {str(value)[:40]!r} is none of {', '.join(finding.values)}")
    return Judged(key, value, value in finding.good, reason.strip()[:LONGEST_REASON], finding.code)
