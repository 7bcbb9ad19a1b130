"""The turn manager: plays a script with a chat, screens every utterance, and ends each task as one row.

Nothing here fails because of what a model says: a task that cannot be played is set aside with the reason.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from assets.answers.read import check_answer, tells_result
from assets.dialogues.scenarios import SCENARIOS
from assets.dialogues.schema import TURN
from assets.dialogues.screening import screen, without_heading
from assets.dialogues.sharegpt_roles import side_of
from assets.dialogues.steps import Posed, Spoken
from assets.dialogues.task import DialogueTask
from assets.framework.prompts import PromptBook
from resources.chat.calls import Call, CallFailed, Chat, Completion
from resources.chat.profile import Profile

RETRACTED = "retracted"
TOLD_RESULT = "told_result"  # a teacher says what is the student's to find
_LINE_BREAKS = re.compile(r"[ \t]*\n\s*")


@dataclass(frozen=True, slots=True)
class TurnLoop:
    """What every task is played with."""

    chat: Chat
    prompts: PromptBook
    profile: Profile
    regenerations: int  # how often a refused utterance is asked for again


@dataclass(slots=True)
class Dialogue:
    """A task as it was played."""

    task: DialogueTask
    turns: list[dict[str, Any]] = field(default_factory=list)
    discarded: list[dict[str, Any]] = field(default_factory=list)
    status: Literal["complete", "set_aside"] = "complete"
    status_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def set_aside(self, code: str, words: str) -> None:
        """End the dialogue with a reason: a short code, then a colon and the words."""
        self.status, self.status_reason = "set_aside", f"{code}: {words}"

    def row(self) -> dict[str, Any]:
        """The dialogue as a row of `scenario_dialogues`."""
        task = self.task
        answers = [turn["final_answer"] for turn in self.turns if turn["final_answer"] is not None]
        return {
            "dialogue_id": task.dialogue_id,
            "scenario": task.scenario.value,
            "shard": task.shard,
            "source": task.source,
            "domain": task.domain,
            "split": task.split,
            "seed_id": task.question.seed_id,
            "partner_seed_id": task.similar.seed_id if task.similar else None,
            "generation": task.generation,
            "status": self.status,
            "status_reason": self.status_reason,
            "turns": self.turns,
            "discarded": self.discarded,
            "first_answer": answers[0] if answers else "unknown",
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


class _NobodyAnswers(Exception):
    """No usable utterance was had for a turn; holds the reason's code and its words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


async def run_turns(task: DialogueTask, turn_loop: TurnLoop, scope: str) -> Dialogue:
    """Play one task to its end, or until it is set aside.

    Args:
        task: what to teach.
        turn_loop: the chat, the prompts and the cast.
        scope: whose journal and usage the calls go on, see `Chat.complete`.

    Raises:
        EndpointUnusable, BudgetSpent: the run is to stop; nothing is known against this task.
    """
    dialogue = Dialogue(task)
    if task.retracted:
        dialogue.set_aside(RETRACTED, "a seed of this dialogue was taken down")
        return dialogue
    script = SCENARIOS[task.scenario].play(task)
    said: str | None = None
    try:
        while True:
            step = next(script) if said is None else script.send(said)
            said = (
                _pose(dialogue, step, turn_loop)
                if isinstance(step, Posed)
                else await _speak(dialogue, step, turn_loop, scope)
            )
    except StopIteration:
        return dialogue
    except _NobodyAnswers as reason:
        dialogue.set_aside(reason.code, reason.words)
        return dialogue


def _pose(dialogue: Dialogue, step: Posed, turn_loop: TurnLoop) -> str:
    text = turn_loop.prompts.utterance(step.prompt, question=step.text) if step.prompt else step.text
    version = turn_loop.prompts.version(step.prompt) if step.prompt else None
    _add_turn(dialogue, step.speaker, text, prompt_version=version)
    return text


async def _speak(dialogue: Dialogue, step: Spoken, turn_loop: TurnLoop, scope: str) -> str:
    """Ask for an utterance until one passes the screen, at most `1 + regenerations` times; its text."""
    place = len(dialogue.turns) + 1
    refused: list[str] = []
    for regeneration in range(1 + turn_loop.regenerations):
        call = Call(
            role=step.role,
            messages=turn_loop.prompts.render(step.prompt, **step.sees),
            sample=dialogue.task.sample,
            turn=f"{place}-{step.role.value}",
            regeneration=regeneration,
        )
        try:
            completion = await turn_loop.chat.complete(call, scope=scope)
        except CallFailed as failure:
            raise _NobodyAnswers(failure.reason, f"turn {place}, {step.role.value}: {failure.detail}") from failure
        dialogue.prompt_tokens += completion.prompt_tokens
        dialogue.completion_tokens += completion.completion_tokens
        text = without_heading(completion.text, step.speaker)
        reason = screen(text, completion.finish_reason)
        if reason is None and regeneration < turn_loop.regenerations and _tells(step, text):
            reason = TOLD_RESULT  # the last try is used as it is: whether it may be published, quality decides
        if reason is None:
            return _use(dialogue, step, turn_loop, completion, text)
        refused.append(reason)
        dialogue.discarded.append(
            {"turn": place, "regeneration": regeneration, "reason": reason, "text": completion.text}
        )
    raise _NobodyAnswers(refused[-1], f"turn {place}, {step.role.value}: refused {', '.join(refused)}")


def _tells(step: Spoken, text: str) -> bool:
    kept = step.keeps
    return kept is not None and tells_result(text, kept.reference_final, f"{kept.in_full}\n{step.heard}")


def _use(dialogue: Dialogue, step: Spoken, turn_loop: TurnLoop, completion: Completion, text: str) -> str:
    if step.one_paragraph:
        text = one_paragraph(text, dialogue.task.domain)
    cast = turn_loop.profile.roles[step.role]
    answered = step.answers
    _add_turn(
        dialogue,
        step.speaker,
        f"{step.opening}\n\n{text}" if step.opening else text,
        role=step.role.value,
        reasoning=completion.reasoning,
        model=cast.model,
        temperature=cast.temperature,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        prompt_version=turn_loop.prompts.version(step.prompt),
        final_answer=check_answer(text, answered.reference_final, answered.domain) if answered else None,
    )
    return text


def _add_turn(dialogue: Dialogue, speaker: str, text: str, **known: Any) -> None:
    side = side_of(dialogue.task.scenario, speaker)
    turn: dict[str, Any] = dict.fromkeys(column.name for column in TURN.fields)
    dialogue.turns.append(turn | {"speaker": speaker, "side": side, "text": text, "trains": side == "gpt"} | known)


def one_paragraph(text: str, domain: str) -> str:
    """`text` on one line, unless its line breaks mean something: code keeps them."""
    return text if domain == "code" or "```" in text else _LINE_BREAKS.sub(" ", text)
