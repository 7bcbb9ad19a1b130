"""The turn loop: runs the steps of a task with a chat, screens every utterance, and ends each task as one row.

No utterance of a model can make it fail: a task that cannot be finished is set aside with the reason.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from assets.answers.check import check_answer
from assets.answers.mentions import gives_away_result
from assets.dialogues.layout import one_paragraph
from assets.dialogues.schema import TURN
from assets.dialogues.screening import ScreenContext, screen, without_heading
from assets.dialogues.steps import FixedTurn, ModelTurn, play
from assets.dialogues.task import DialogueTask
from assets.framework.scenarios.scenario import Scenario, Scenarios
from resources.chat.calls import Call, CallFailed, Chat, Completion
from resources.chat.profile import Profile

RETRACTED = "retracted"
STATED_RESULT = "told_result"  # a teacher states the result that the student is to find


@dataclass(slots=True)
class Dialogue:
    """A task with the turns so far."""

    task: DialogueTask
    scenario: Scenario
    turns: list[dict[str, Any]] = field(default_factory=list)
    discarded: list[dict[str, Any]] = field(default_factory=list)
    status: Literal["complete", "set_aside"] = "complete"
    status_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def set_aside(self, code: str, words: str) -> None:
        """End the dialogue with a reason: a short code, then a colon and the words."""
        self.status, self.status_reason = "set_aside", f"{code}: {words}"

    def add_turn(self, speaker: str, text: str, **columns: Any) -> None:
        """Add a turn; `columns` are further ones of `TURN`, the others are null."""
        turn: dict[str, Any] = dict.fromkeys(column.name for column in TURN.fields)
        side, trains = self.scenario.side(speaker), self.scenario.trains(speaker)
        self.turns.append(turn | {"speaker": speaker, "side": side, "text": text, "trains": trains} | columns)

    def row(self) -> dict[str, Any]:
        """The dialogue as a row of `scenario_dialogues`."""
        task = self.task
        answers = [turn["final_answer"] for turn in self.turns if turn["final_answer"] is not None]
        return {
            "dialogue_id": task.dialogue_id,
            "scenario": task.scenario,
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


class _NoUtterance(Exception):
    """There is no usable utterance for a turn. Arguments: the reason's code and its words."""


@dataclass(frozen=True, slots=True)
class TurnLoop:
    """Runs tasks with one chat, the scenarios and one profile."""

    chat: Chat
    scenarios: Scenarios
    profile: Profile
    regenerations: int  # how often a refused utterance is asked for again

    async def run(self, task: DialogueTask, scope: str) -> Dialogue:
        """Run one task to its end, or until it is set aside.

        Args:
            task: the dialogue to generate.
            scope: whose journal and usage the calls go on, see `Chat.complete`.

        Raises:
            AwaitingBatch: a later run continues the dialogue.
            EndpointUnusable, BudgetSpent: the run is to stop; this says nothing about the task.
        """
        dialogue = Dialogue(task, self.scenarios[task.scenario])
        if task.retracted:
            dialogue.set_aside(RETRACTED, "a seed of this dialogue was taken down")
            return dialogue
        steps = play(dialogue.scenario, task)
        text: str | None = None
        try:
            while True:
                step = next(steps) if text is None else steps.send(text)
                if isinstance(step, FixedTurn):
                    text = self._fixed_turn(dialogue, step)
                else:
                    text = await self._model_turn(dialogue, step, scope)
        except StopIteration:
            return dialogue
        except _NoUtterance as reason:
            dialogue.set_aside(*reason.args)
            return dialogue

    def _fixed_turn(self, dialogue: Dialogue, step: FixedTurn) -> str:
        version = dialogue.scenario.prompts.version(step.prompt) if step.prompt else None
        dialogue.add_turn(step.speaker, step.text, prompt_version=version)
        return step.text

    async def _model_turn(self, dialogue: Dialogue, step: ModelTurn, scope: str) -> str:
        """Ask for an utterance until one passes the screening, at most `1 + regenerations` times; its text."""
        number, role = len(dialogue.turns) + 1, step.say.role
        messages = dialogue.scenario.prompts.render(step.prompt, **step.sees)
        context = screen_context(dialogue.task, dialogue.scenario, step)
        refused: list[str] = []
        for regeneration in range(1 + self.regenerations):
            call = Call(
                role=role,
                messages=messages,
                sample=dialogue.task.sample,
                turn=f"{number}-{role}",
                regeneration=regeneration,
            )
            try:
                completion = await self.chat.complete(call, scope=scope)
            except CallFailed as failure:
                words = f"turn {number}, {role}: {failure.detail}"
                raise _NoUtterance(failure.reason, words) from failure
            dialogue.prompt_tokens += completion.prompt_tokens
            dialogue.completion_tokens += completion.completion_tokens
            text = without_heading(completion.text, step.say.speaker)
            reason = screen(text, completion.finish_reason, context)
            # the last try is used as it is: quality decides whether it may be published
            if reason is None and regeneration < self.regenerations and _states_result(step, text):
                reason = STATED_RESULT
            if reason is None:
                return self._use(dialogue, step, completion, text)
            refused.append(reason)
            dialogue.discarded.append(
                {"turn": number, "regeneration": regeneration, "reason": reason, "text": completion.text}
            )
        raise _NoUtterance(refused[-1], f"turn {number}, {role}: refused {', '.join(refused)}")

    def _use(self, dialogue: Dialogue, step: ModelTurn, completion: Completion, text: str) -> str:
        if step.say.layout == "one_paragraph":
            text = one_paragraph(text)
        model, question = self.profile.roles[step.say.role], step.answers
        dialogue.add_turn(
            step.say.speaker,
            f"{step.opening}\n\n{text}" if step.opening else text,
            role=step.say.role,
            reasoning=completion.reasoning,
            model=model.model,
            temperature=model.temperature,
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            prompt_version=dialogue.scenario.prompts.version(step.prompt),
            final_answer=check_answer(text, question.reference_final, question.domain) if question else None,
        )
        return text


def screen_context(task: DialogueTask, scenario: Scenario, step: ModelTurn) -> ScreenContext:
    """What an utterance is screened against: the scenario's speakers, the seed, and its own prompt."""
    asked = [question for question in (task.question, task.similar) if question]
    return ScreenContext(
        speakers=scenario.declaration.speakers,
        task="\n".join(text for question in asked for text in (question.in_full, question.reference)),
        reference="\n".join(question.reference for question in asked),
        instructions=scenario.prompts.instructions(step.prompt),
        language=task.question.language,
    )


def _states_result(step: ModelTurn, text: str) -> bool:
    secret = step.must_not_answer
    return secret is not None and gives_away_result(
        text, secret.reference_final, f"{secret.in_full}\n{step.said_before}"
    )
