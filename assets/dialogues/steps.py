"""Plays a scenario: a generator that yields the next turn and is sent the turn's text.

The declaration alone decides who speaks when and what each speaker sees; nothing that a model says can change it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from assets.answers.check import check_answer
from assets.answers.compare import compare_final
from assets.answers.read import read_final
from assets.dialogues.questions import Question
from assets.dialogues.task import DialogueTask
from assets.framework.languages import ENGLISH
from assets.framework.scenarios.declaration import LANGUAGE, SPEAKER, Asked, Condition, Pose, Repeat, Say
from assets.framework.scenarios.scenario import Scenario, repetitions_of, titled
from resources.identity import draw_index


@dataclass(frozen=True, slots=True)
class FixedTurn:
    """A turn without a model call."""

    speaker: str
    text: str
    prompt: str | None  # the plain prompt that the text was made of


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """A turn that a model writes."""

    say: Say
    prompt: str
    sees: Mapping[str, str]  # the prompt's values
    answers: Question | None  # the utterance's final answer is compared with this question's reference
    must_not_answer: Question | None  # the speaker must not state this question's result
    said_before: str  # text that may state that result already
    opening: str  # text before the utterance, without a model


Steps: TypeAlias = Generator[FixedTurn | ModelTurn, str, None]


def play(scenario: Scenario, task: DialogueTask) -> Steps:
    """The turns of one task, in order. Raises ValueError if the scenario needs a second question and there is none."""
    return _Play(scenario, task).steps()


@dataclass(slots=True)
class _Play:
    """One dialogue while it is played."""

    scenario: Scenario
    task: DialogueTask
    said: list[tuple[str, str]] = field(default_factory=list)  # speaker and text of each turn that a model wrote
    texts: dict[str, str] = field(default_factory=dict)  # by step: what was said last
    answers: dict[str, str] = field(default_factory=dict)  # by speaker: the last text that answers a question

    def steps(self) -> Steps:
        for step in self.scenario.declaration.steps:
            if not isinstance(step, Repeat):
                yield from self._turn(step)
                continue
            for _ in range(repetitions_of(step, self.task.repetitions or 1)):
                for turn in step.steps:
                    yield from self._turn(turn)
                if step.until_agree and self._agree(*step.until_agree):
                    break

    def _turn(self, turn: Pose | Say) -> Steps:
        if isinstance(turn, Pose):
            posed = self._posed(turn.pose)
            # Texts without a model are English, so questions in other languages stand alone.
            if turn.prompt is None or self._question(turn.pose).language != ENGLISH:
                yield FixedTurn(turn.speaker, posed, None)
                return
            text = self.scenario.prompts.utterance(turn.prompt, **{turn.pose: posed})
            yield FixedTurn(turn.speaker, text, turn.prompt)
            return
        text = yield ModelTurn(
            turn,
            next((variant.prompt for variant in turn.variants if self._holds(variant.when, turn)), turn.prompt),
            sees={
                SPEAKER: titled(turn.speaker),
                LANGUAGE: self.task.question.language,
                **{name: self._value(name, turn) for name in turn.visible},
            },
            answers=self._question(turn.answers) if turn.answers else None,
            must_not_answer=self._question(turn.must_not_answer) if turn.must_not_answer else None,
            said_before="\n".join(text for _, text in self.said),
            opening=self._posed(turn.begins_with) if turn.begins_with else "",
        )
        self.said.append((turn.speaker, text))
        self.texts[turn.say] = text
        if turn.answers:
            self.answers[turn.speaker] = text

    def _question(self, asked: Asked) -> Question:
        if asked == "question":
            return self.task.question
        if self.task.similar is None:
            raise ValueError(
                f"dialogue {self.task.dialogue_id}: its plan has no similar question, which {self.scenario.title} needs"
            )
        return self.task.similar

    def _posed(self, asked: Asked) -> str:
        """The question as a turn shows it: below its system prompt, if that is not the one that the row has."""
        question = self._question(asked)
        return question.text if question.system in (None, self.task.question.system) else question.in_full

    def _value(self, name: str, turn: Say) -> str:
        match name:
            case "question" | "similar_question":
                return self._question(name).in_full
            case "reference":
                return self._question("question").shown_reference
            case "similar_reference":
                return self._question("similar_question").shown_reference
            case "dialogue":
                return "\n\n".join(f"{titled(speaker)}: {text}" for speaker, text in self.said)
            case "own_turns":
                return "\n\n".join(text for speaker, text in self.said if speaker == turn.speaker)
            case _:
                return self.texts[name]

    def _holds(self, when: Condition, turn: Say) -> bool:
        asked = self._question(turn.answers or turn.must_not_answer or "question")
        facts = {
            "right": when.right is not None and self._verdict(when.right) == "right",
            "wrong": when.wrong is not None and self._verdict(when.wrong) == "wrong",
            "domain": asked.domain == when.domain,
            "open_task": (asked.reference_final is None) == when.open_task,
            "opening": (not self.said) == when.opening,
            "spoke_before": any(speaker == turn.speaker for speaker, _ in self.said) == when.spoke_before,
            "chosen": all(self._chosen(name) == value for name, value in (when.chosen or {}).items()),
        }
        return all(facts[name] for name in when.model_fields_set)

    def _chosen(self, name: str) -> str:
        shares = self.scenario.declaration.choices[name]
        return list(shares)[draw_index(list(shares.values()), "choice", name, self.task.dialogue_id)]

    def _verdict(self, step: str) -> str:
        asked = next(say.answers for say in self.scenario.says if say.say == step)
        question = self._question(asked or "question")
        return check_answer(self.texts[step], question.reference_final, question.domain)

    def _agree(self, one: str, other: str) -> bool:
        """Whether two speakers' latest final answers agree."""
        domain = self.task.question.domain
        first, second = (read_final(self.answers[speaker], domain) for speaker in (one, other))
        return compare_final(first, second, domain) == "right"
