"""The rubric: what the judge is asked about a dialogue, which follows from its scenario's declaration.

Each finding has a few allowed values, some of which are good. A bad value is a reason to reject the dialogue, with a
code of its own. The judge gives its reason before the value, so that the value follows from it and not the reverse.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.dialogues.questions import Question
from assets.framework.scenarios.declaration import Say
from assets.framework.scenarios.scenario import Scenario, Scenarios
from resources.configuration import ConfigurationError, fault_list, unknown_name

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
VERDICT_TRUE = "verdict_true"
GAVE_AWAY = ("gave_result", "gave_calculation")
SAME_RESULT = Finding(
    RESULT,
    "Is its result the reference answer's? Compare what the results mean, not how they are written.",
    ("same",),
    "judged_wrong",
    "the judge finds another result than the reference's, or that the task is not fulfilled",
    values=("same", "different"),
)
TASK_FULFILLED = replace(
    SAME_RESULT,
    asks="Does it do what the task asks? The reference answer is one good answer; another one may differ from it.",
    good=("fulfils",),
    values=("fulfils", "does_not_fulfil"),
)
ABOUT_ANSWERS = (
    Finding(
        "steps_sound",
        "Is every step right: each calculation, each claim, each line of code?",
        ("yes",),
        "wrong_step",
        "the judge finds a wrong step",
    ),
    Finding(
        "complete",
        "Does it have every step and every part that the task needs, and is nothing cut off?",
        ("yes",),
        "incomplete",
        "the judge finds that a step or part is missing",
    ),
    Finding(
        "on_task",
        "Does it answer this question, and nothing else?",
        ("yes",),
        "off_task",
        "the judge finds that the closing answer leaves the task",
    ),
)
"""Asked about every judged answer, after its result."""

ABOUT_DIALOGUES = (
    Finding(
        VERDICT_TRUE,
        "Is what the teacher says about the student's answer true: right called right, wrong called wrong? "
        "`no_verdict`: the teacher calls it neither.",
        ("yes", "no_verdict"),
        "false_verdict",
        "the judge finds that the teacher calls a right answer wrong, or a wrong one right",
        _has(lambda say: say.reviews is not None),
        values=("yes", "no", "no_verdict"),
    ),
    Finding(
        GAVE_AWAY[0],
        "Does the teacher state the result, or a part of it, that the student has to find?",
        ("no",),
        "gave_result",
        "the judge finds that the teacher states the result",
        _has(lambda say: say.must_not_answer is not None),
    ),
    Finding(
        GAVE_AWAY[1],
        "Does the teacher carry out a calculation, or write code, that the student has to do? To repeat what the "
        "question or the student said is no calculation.",
        ("no",),
        "gave_calculation",
        "the judge finds that the teacher does the student's calculation",
        _has(lambda say: say.must_not_answer is not None),
    ),
    Finding(
        "stayed_in_role",
        "Does the teacher speak as a teacher: to the student, about this answer or question?",
        ("yes",),
        "left_role",
        "the judge finds that the teacher does not speak as a teacher",
        _has(lambda say: say.reviews is not None or say.must_not_answer is not None),
    ),
    Finding(
        "reference_betrayed",
        "Does any speaker show that a reference, solution or notes were given to them?",
        ("no",),
        "reference_betrayed",
        "the judge finds a mention of the hidden reference",
    ),
    Finding(
        "spoke_for_others",
        "Does any turn continue as another speaker, or write another speaker's words?",
        ("no",),
        "spoke_for_others",
        "the judge finds a turn that speaks for another speaker",
    ),
    Finding(
        "own_view",
        "Does each debater argue in their own words? To agree and say why is fine; to repeat another's words is not.",
        ("yes",),
        "no_own_view",
        "the judge finds a debater who repeats another",
        _has(lambda say: say.own_words),
    ),
    Finding(
        "closer_fair",
        "Does the closing answer describe truly what the debaters said, and who of them is right?",
        ("yes",),
        "unfair_close",
        "the judge finds that the closing answer misrepresents the debaters",
        _has(lambda say: say.own_words),
    ),
    Finding(
        "reference_doubtful",
        "Is a reference answer itself wrong, contradictory, or no answer to its question?",
        ("no",),
        "doubtful_reference",
        "the judge finds the reference answer wrong or contradictory",
    ),
)
"""Asked once about a dialogue, where its scenario has such a turn."""

FINDINGS = (SAME_RESULT, TASK_FULFILLED, *ABOUT_ANSWERS, *ABOUT_DIALOGUES)
RUBRIC = tuple((finding.name, finding.asks, finding.values, finding.good) for finding in FINDINGS)
"""What a verdict depends on, for the fingerprint."""

REASONS: Mapping[str, str] = {finding.code: finding.meaning for finding in FINDINGS}
"""The rejection reasons of findings that are not good."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge found."""

    finding: str  # the question's key, such as `result` or `result_2`
    value: str
    good: bool
    reason: str
    code: str  # the rejection reason where it is not good
    agreed: bool = True  # whether all judges of a jury find it good, or all find it bad


def rubric_of(scenario: Scenario, questions: Sequence[Question] = ()) -> dict[str, Finding]:
    """The questions to the judge by key. Where several answers are judged, theirs are numbered: `result_2`.

    Args:
        scenario: of the dialogue.
        questions: of the dialogue. One whose reference has no result that can be read is an open task; its answer is
            not compared, but has to do what the task asks.
    """
    asked: dict[str, Finding] = {}
    for index in range(len(scenario.judged)):
        open_task = index < len(questions) and not questions[index].reference_final
        for finding in (TASK_FULFILLED if open_task else SAME_RESULT, *_chosen(ABOUT_ANSWERS, scenario)):
            asked[f"{finding.name}_{index + 1}" if len(scenario.judged) > 1 else finding.name] = finding
    chosen = _chosen(ABOUT_DIALOGUES, scenario)
    return asked | {finding.name: finding for finding in chosen if finding.applies(scenario)}


def _chosen(findings: Sequence[Finding], scenario: Scenario) -> list[Finding]:
    """The findings that the scenario's declaration names, or all where it names none."""
    named = scenario.declaration.rubric
    return [finding for finding in findings if not named or finding.name in named]


def check_rubrics(scenarios: Scenarios) -> None:
    """Raise ConfigurationError if a scenario's `rubric` names a finding that there is not, or that no step allows."""
    known = {finding.name: finding for finding in (*ABOUT_ANSWERS, *ABOUT_DIALOGUES)}
    faults = [
        f"{name}.rubric: {finding!r}: {unknown_name('finding', finding, known)}"
        for name, scenario in scenarios.items()
        for finding in scenario.declaration.rubric
        if finding not in known
    ]
    faults += [
        f"{name}.rubric: no step of the scenario allows {finding!r}"
        for name, scenario in scenarios.items()
        for finding in scenario.declaration.rubric
        if finding in known and not known[finding].applies(scenario)
    ]
    if faults:
        raise ConfigurationError(fault_list("the judge cannot be asked:", faults))


def questions_text(rubric: Mapping[str, Finding]) -> str:
    """The rubric as text for the judge's prompt: a line per question, with its key and its allowed values."""
    return "\n".join(
        f'"{key}" ({" or ".join(finding.values)}): {_about(key, finding)}{finding.asks}'
        for key, finding in rubric.items()
    )


def _about(key: str, finding: Finding) -> str:
    if finding in ABOUT_DIALOGUES:
        return ""
    number = key.rpartition("_")[2]
    return f"The answer to question {number}: " if number.isdigit() else "The closing answer: "


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
        raise ValueError(f"lacks {', '.join(missing)}")
    if unknown := [key for key in content if key not in rubric]:
        raise ValueError(f"unknown key {unknown[0][:40]!r}")
    return tuple(_read(key, finding, content[key]) for key, finding in rubric.items())


def _read(key: str, finding: Finding, given: Any) -> Judged:
    if not isinstance(given, dict) or set(given) != {"reason", "value"}:
        raise ValueError(f"{key}: not an object of `reason` and `value`")
    reason, value = given["reason"], given["value"]
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"{key}: has no reason")
    if value not in finding.values:
        raise ValueError(f"{key}: {str(value)[:40]!r} is none of {', '.join(finding.values)}")
    return Judged(key, value, value in finding.good, reason.strip()[:LONGEST_REASON], finding.code)
