"""The judge: a model reads question, reference and dialogue, and returns a verdict as a JSON object."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from assets.framework.prompts import PromptBook
from assets.framework.scenarios.declaration import Say
from assets.quality.inputs import DialogueInput
from assets.quality.prompts import JUDGE
from resources.chat.calls import Call, CallFailed, Chat, Message

JUDGE_ROLE = "judge"
TURN_NAME = "judge"
PAPER_ERROR_RATE = 0.041  # METHOD: procedural errors in the paper's augmented data
_FENCED = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL)
_REMINDER = (
    "\n\nYour answer before this one was not in form. Answer with one JSON object and nothing else: "
    '"reason" (one short sentence), "error_class" (one of the list), "correct" (true only if error_class is "none").'
)

JudgeStatus = Literal["judged", "not_judged", "not_asked"]


class ErrorClass(StrEnum):
    """What is wrong with a dialogue's reasoning."""

    NONE = "none"
    WRONG_RESULT = "wrong_result"
    WRONG_STEP = "wrong_step"
    MISSING_STEP = "missing_step"
    CONTRADICTION = "contradiction"
    OFF_TOPIC = "off_topic"
    UNCLEAR = "unclear"


class JudgeVerdict(BaseModel):
    """The judge's answer. The reason comes first, so that the decision follows from it and not the reverse."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    error_class: ErrorClass
    correct: bool

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.correct != (self.error_class is ErrorClass.NONE):
            raise ValueError(f"correct is {self.correct}, but error_class is {self.error_class.value}")
        return self


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, or why there is none."""

    status: JudgeStatus
    verdict: JudgeVerdict | None = None
    fault: str | None = None  # why it was not judged


NOT_ASKED = Judgement("not_asked")


def verdict_schema() -> dict[str, Any]:
    """The verdict's JSON schema, in the subset that strict structured outputs know, its keys in the order to write."""
    return {
        "type": "object",
        "properties": {
            "reason": {"type": "string"},
            "error_class": {"type": "string", "enum": [one.value for one in ErrorClass]},
            "correct": {"type": "boolean"},
        },
        "required": ["reason", "error_class", "correct"],
        "additionalProperties": False,
    }


def read_verdict(text: str) -> JudgeVerdict:
    """The verdict in a model's answer: one valid JSON object, in a code fence or bare, and nothing else.

    Raises:
        ValueError: it is anything else, or contradicts itself; the message says what.
    """
    fenced = _FENCED.match(text.strip())
    try:
        return JudgeVerdict.model_validate_json(fenced[1] if fenced else text.strip())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"{where}: {fault['msg']}" if where else fault["msg"]) from None


def judge_messages(prompts: PromptBook, dialogue: DialogueInput, *, reminded: bool = False) -> tuple[Message, ...]:
    """What the judge is asked. The prompt book puts all that others wrote inside fences."""
    messages = prompts.render(
        JUDGE,
        question=_numbered([question.in_full for question in dialogue.questions], "Question"),
        reference=_numbered([question.reference for question in dialogue.questions], "Answer"),
        dialogue=as_transcript(dialogue),
        scenario=dialogue.scenario.title,
    )
    if not reminded:
        return messages
    return (*messages[:-1], Message(messages[-1].role, messages[-1].content + _REMINDER))


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
    chat: Chat, prompts: PromptBook, dialogue: DialogueInput, *, regenerations: int, scope: str
) -> Judgement:
    """The judge's verdict of one dialogue.

    After an invalid answer the judge is asked again, at most `regenerations` times. After that, and where the call
    fails (the dialogue is too long for the model, say), the dialogue is not judged. That is never a pass.

    Raises:
        EndpointUnusable, BudgetSpent: the run is to stop.
    """
    fault = ""
    for regeneration in range(regenerations + 1):
        call = Call(
            role=JUDGE_ROLE,
            messages=judge_messages(prompts, dialogue, reminded=regeneration > 0),
            sample=dialogue.dialogue_id,
            turn=TURN_NAME,
            regeneration=regeneration,
            json_schema=verdict_schema(),
        )
        try:
            completion = await chat.complete(call, scope=scope)
        except CallFailed as failure:
            return Judgement("not_judged", fault=str(failure))
        if completion.finish_reason == "length":
            fault = "cut off by the token limit"
            continue
        try:
            return Judgement("judged", read_verdict(completion.text))
        except ValueError as error:
            fault = str(error)
    return Judgement("not_judged", fault=f"invalid verdict in {regenerations + 1} answers; the last: {fault}")
