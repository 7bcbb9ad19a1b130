"""The judge: a model reads question, reference and dialogue, and answers the rubric as a JSON object."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic_core import from_json

from assets.framework.prompts import PromptBook
from assets.framework.scenarios.declaration import Say
from assets.framework.scenarios.declaration import Turn as Step
from assets.quality.inputs import DialogueInput, Turn
from assets.quality.prompts import JUDGE
from assets.quality.rubric import Finding, Judged, questions_text, read_findings, rubric_of, verdict_schema
from resources.chat.calls import AwaitingBatch, Call, CallFailed, Chat, Message

JUDGE_ROLE = "judge"
TURN_NAME = "judge"
PAPER_ERROR_RATE = 0.041  # METHOD: procedural errors in the paper's augmented data
NO_ERROR = "none"
REMINDER = (
    "\n\nYour answer before this one was not in form. Answer with one JSON object and nothing else: each question of "
    'the rubric is a key, and its value is an object with "reason" (one short sentence) and "value" (an allowed value).'
)
_FENCED = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL)

JudgeStatus = Literal["judged", "not_judged", "not_asked", "rules_alone"]
Rule = Literal["majority", "unanimous"]


@dataclass(frozen=True, slots=True)
class JudgeVerdict:
    """What the judge found, by the rubric."""

    findings: tuple[Judged, ...]

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


def read_verdict(text: str, rubric: Mapping[str, Finding]) -> JudgeVerdict:
    """The verdict in a model's answer: one valid JSON object, in a code fence or bare, and nothing else.

    Nothing is looked for inside other text, which may quote the dialogue.

    Raises:
        ValueError: it is anything else; the message says what.
    """
    fenced = _FENCED.match(text.strip())
    try:
        content = from_json(fenced[1] if fenced else text.strip(), allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"not one JSON object: {error}") from None
    return JudgeVerdict(read_findings(rubric, content))


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
        reference=_numbered([question.shown_reference for question in dialogue.questions], "Answer"),
        dialogue=as_transcript(dialogue),
        scenario=dialogue.scenario.title,
        rubric=questions_text(rubric_of(dialogue.scenario, dialogue.questions)),
        flags="\n".join(f"- {flag}" for flag in flags) or "- nothing in particular",
    )
    if not reminded:
        return messages
    return (*messages[:-1], Message(messages[-1].role, messages[-1].content + REMINDER))


def as_transcript(dialogue: DialogueInput) -> str:
    """The dialogue as text: a heading for each turn, its words indented, so that no utterance can pose as a turn.

    The heading says what the rubric asks about: which answer is judged, which turn is reviewed, who must not answer.
    """
    steps = dialogue.steps
    return "\n".join(
        f"Turn {index + 1}, {turn.speaker}{''.join(f', {mark}' for mark in _marks(dialogue, steps[: index + 1]))}:\n"
        + "\n".join(f"    {line}" for line in turn.text.strip().splitlines())
        for index, turn in enumerate(dialogue.turns)
    )


def _marks(dialogue: DialogueInput, until: Sequence[tuple[Step, Turn]]) -> Iterator[str]:
    """What the last of these turns is to the rubric."""
    step = until[-1][0] if until else None
    if not isinstance(step, Say):
        return
    if step.judged:
        number = [one.say for one in dialogue.scenario.judged].index(step.say) + 1
        yield "closing answer" if len(dialogue.scenario.judged) == 1 else f"closing answer to question {number}"
    if step.reviews:
        yield f"about turn {max(place for place, (one, _) in enumerate(until, 1) if _says(one, step.reviews))}"
    if step.must_not_answer:
        yield "must not state the result"
    if step.own_words:
        yield "debater"


def _says(step: Step, name: str) -> bool:
    return isinstance(step, Say) and step.say == name


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
        AwaitingBatch: a later run has the verdict.
        EndpointUnusable, BudgetSpent: the run is to stop.
    """
    asked = [_one_judge(chat, prompts, dialogue, flags, role, regenerations, scope) for role in jury]
    answered = await asyncio.gather(*asked, return_exceptions=True)  # each judge asks, also where another one waits
    errors = [one for one in answered if isinstance(one, BaseException)]
    if errors:
        raise next((one for one in errors if not isinstance(one, AwaitingBatch)), errors[0])
    judgements = [one for one in answered if isinstance(one, Judgement)]
    failed = next((one for one in judgements if one.verdict is None), None)
    if failed:
        return failed
    return Judgement("judged", combine([one.verdict for one in judgements if one.verdict], rule))


def combine(verdicts: Sequence[JudgeVerdict], rule: Rule) -> JudgeVerdict:
    """One verdict of several judges, finding by finding, each with the words of the first judge who agrees with it.

    `majority`: good where more than half find it so, thus bad where two judges differ; `unanimous`: where all do.
    """
    findings = []
    for judged in zip(*(verdict.findings for verdict in verdicts), strict=True):
        bad = [one for one in judged if not one.good]
        is_bad = bool(bad) if rule == "unanimous" else 2 * len(bad) >= len(judged)
        deciding = [one for one in judged if one.good != is_bad]
        findings.append(replace(deciding[0], agreed=len(deciding) == len(judged)))
    return JudgeVerdict(tuple(findings))


async def _one_judge(
    chat: Chat,
    prompts: PromptBook,
    dialogue: DialogueInput,
    flags: Sequence[str],
    role: str,
    regenerations: int,
    scope: str,
) -> Judgement:
    rubric = rubric_of(dialogue.scenario, dialogue.questions)
    fault = ""
    for regeneration in range(regenerations + 1):
        call = Call(
            role=role,
            messages=judge_messages(prompts, dialogue, flags, reminded=regeneration > 0),
            sample=dialogue.dialogue_id,
            turn=TURN_NAME if role == JUDGE_ROLE else f"{TURN_NAME}-{role}",
            regeneration=regeneration,
            json_schema=verdict_schema(rubric),
        )
        try:
            completion = await chat.complete(call, scope=scope)
        except CallFailed as failure:
            return Judgement("not_judged", fault=str(failure))
        if completion.finish_reason == "length":
            fault = "cut off by the token limit"
            continue
        try:
            return Judgement("judged", read_verdict(completion.text, rubric))
        except ValueError as error:
            fault = str(error)
    return Judgement("not_judged", fault=f"invalid verdict in {regenerations + 1} answers; the last: {fault}")
