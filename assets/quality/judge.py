"""The judge: a model reads question, reference and dialogue, and answers the rubric as a JSON object."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assets.framework.prompts import PromptBook
from assets.framework.scenarios.declaration import Say
from assets.framework.scenarios.scenario import Scenario
from assets.quality.inputs import DialogueInput
from assets.quality.prompts import JUDGE
from assets.quality.rubric import Judged, questions_text, read_findings, rubric_of, verdict_schema
from resources.chat.calls import Call, CallFailed, Chat, Message

JUDGE_ROLE = "judge"
TURN_NAME = "judge"
PAPER_ERROR_RATE = 0.041  # METHOD: procedural errors in the paper's augmented data
NO_ERROR = "none"
REMINDER = (
    "\n\nYour answer before this one was not in form. Answer with one JSON object and nothing else: each question of "
    'the rubric is a key, and its value is an object with "reason" (one short sentence) and "value" (an allowed value).'
)
_FENCED = re.compile(r"```(?:json)?\s*(\{.*?\})\s*```", re.DOTALL)

JudgeStatus = Literal["judged", "not_judged", "not_asked", "rules_alone"]
Rule = Literal["majority", "unanimous"]


@dataclass(frozen=True, slots=True)
class JudgeVerdict:
    """What the judge found, by the rubric."""

    findings: tuple[Judged, ...]
    agreement: float = 1.0  # of a jury: share of the findings on which all its judges agree (0..1)

    @property
    def faults(self) -> tuple[Judged, ...]:
        """The findings that are not good."""
        return tuple(finding for finding in self.findings if not finding.good)

    @property
    def correct(self) -> bool:
        """Whether every finding is good."""
        return not self.faults

    @property
    def codes(self) -> tuple[str, ...]:
        """The rejection reasons, each once."""
        return tuple(dict.fromkeys(fault.code for fault in self.faults))

    @property
    def error_class(self) -> str:
        """The first rejection reason; `none` without any."""
        return self.codes[0] if self.codes else NO_ERROR

    @property
    def reason(self) -> str:
        """Why: the reason of the first fault, or of the first finding."""
        return (self.faults or self.findings)[0].reason


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, or why there is none."""

    status: JudgeStatus
    verdict: JudgeVerdict | None = None
    fault: str | None = None  # why it was not judged


NOT_ASKED = Judgement("not_asked")
RULES_ALONE = Judgement("rules_alone")  # the profile's judge is too weak to decide


def read_verdict(text: str, scenario: Scenario) -> JudgeVerdict:
    """The verdict in a model's answer: one valid JSON object, bare or in the only code fence.

    Raises:
        ValueError: it is anything else; the message says what.
    """
    fenced = _FENCED.findall(text)
    try:
        content = json.loads(fenced[0] if len(fenced) == 1 else text.strip())
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("not one JSON object") from None
    return JudgeVerdict(read_findings(rubric_of(scenario), content))


def judge_messages(
    prompts: PromptBook, dialogue: DialogueInput, flags: Sequence[str] = (), *, reminded: bool = False
) -> tuple[Message, ...]:
    """What the judge is asked. The prompt book puts all that others wrote inside fences.

    Args:
        prompts: with the judge's prompt.
        dialogue: what is judged.
        flags: what rules find likely, in words; the judge is to look at them.
        reminded: whether its answer before was not in form.
    """
    messages = prompts.render(
        JUDGE,
        question=_numbered([question.in_full for question in dialogue.questions], "Question"),
        reference=_numbered([question.reference for question in dialogue.questions], "Answer"),
        dialogue=as_transcript(dialogue),
        scenario=dialogue.scenario.title,
        rubric=questions_text(rubric_of(dialogue.scenario), dialogue),
        flags="\n".join(f"- {flag}" for flag in flags) or "- nothing in particular",
    )
    if not reminded:
        return messages
    return (*messages[:-1], Message(messages[-1].role, messages[-1].content + REMINDER))


def as_transcript(dialogue: DialogueInput) -> str:
    """The dialogue as text: a heading for each turn, its words indented, so that no utterance can pose as a turn.

    The heading says which turn is to be judged: the last answer, or the answer to each of two questions.
    """
    judged = [index for index, (step, _) in enumerate(dialogue.steps) if isinstance(step, Say) and step.judged]
    marks = {index: f", answer to question {number}" for number, index in enumerate(judged, 1)}
    if len(dialogue.scenario.judged) == 1:
        marks = dict.fromkeys(judged, ", last answer")
    return "\n".join(
        f"Turn {index + 1}, {turn.speaker}{marks.get(index, '')}:\n"
        + "\n".join(f"    {line}" for line in turn.text.strip().splitlines())
        for index, turn in enumerate(dialogue.turns)
    )


def _numbered(texts: list[str], word: str) -> str:
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"{word} {number}:\n{text}" for number, text in enumerate(texts, 1))


async def judge(
    chat: Chat,
    prompts: PromptBook,
    dialogue: DialogueInput,
    *,
    regenerations: int,
    scope: str,
    flags: Sequence[str] = (),
    jury: Sequence[str] = (JUDGE_ROLE,),
    rule: Rule = "majority",
) -> Judgement:
    """The verdict of the judge, or of a jury, on one dialogue.

    After an invalid answer a judge is asked again, at most `regenerations` times. After that, and where the call fails
    (the dialogue is too long for the model, say), the dialogue is not judged. That is never a pass.

    Args:
        chat: the models.
        prompts: with the judge's prompt.
        dialogue: what is judged.
        regenerations: see above.
        scope: whose journal and usage the calls go on.
        flags: see `judge_messages`.
        jury: the roles that judge, each by itself.
        rule: of a jury: a fault is found by most of its judges, or (`unanimous`) every judge has to find none.

    Raises:
        EndpointUnusable, BudgetSpent: the run is to stop.
    """
    judgements = await asyncio.gather(
        *(_one_judge(chat, prompts, dialogue, flags, role, regenerations, scope) for role in jury)
    )
    failed = next((one for one in judgements if one.verdict is None), None)
    if failed:
        return failed
    return Judgement("judged", combine([one.verdict for one in judgements if one.verdict], rule))


def combine(verdicts: Sequence[JudgeVerdict], rule: Rule) -> JudgeVerdict:
    """One verdict of several judges: by finding, the value of most, or the first bad one where one is enough."""
    findings, agreed = [], 0
    for judged in zip(*(verdict.findings for verdict in verdicts), strict=True):
        agreed += len({one.value for one in judged}) == 1
        bad = [one for one in judged if not one.good]
        if rule == "unanimous":
            findings.append(bad[0] if bad else judged[0])
            continue
        is_bad = 2 * len(bad) >= len(judged)  # of two who disagree, the one who finds a fault
        value, _ = Counter(one.value for one in judged if one.good != is_bad).most_common(1)[0]
        findings.append(next(one for one in judged if one.value == value))
    return JudgeVerdict(tuple(findings), agreed / len(findings) if findings else 1.0)


async def _one_judge(
    chat: Chat,
    prompts: PromptBook,
    dialogue: DialogueInput,
    flags: Sequence[str],
    role: str,
    regenerations: int,
    scope: str,
) -> Judgement:
    fault = ""
    for regeneration in range(regenerations + 1):
        call = Call(
            role=role,
            messages=judge_messages(prompts, dialogue, flags, reminded=regeneration > 0),
            sample=dialogue.dialogue_id,
            turn=TURN_NAME if role == JUDGE_ROLE else f"{TURN_NAME}-{role}",
            regeneration=regeneration,
            json_schema=verdict_schema(rubric_of(dialogue.scenario)),
        )
        try:
            completion = await chat.complete(call, scope=scope)
        except CallFailed as failure:
            return Judgement("not_judged", fault=str(failure))
        if completion.finish_reason == "length":
            fault = "cut off by the token limit"
            continue
        try:
            return Judgement("judged", read_verdict(completion.text, dialogue.scenario))
        except ValueError as error:
            fault = str(error)
    return Judgement("not_judged", fault=f"invalid verdict in {regenerations + 1} answers; the last: {fault}")
