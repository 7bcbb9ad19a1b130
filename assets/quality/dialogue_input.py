"""A dialogue beside what it was to teach: the plain data that signals and judge read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assets.dialogues.task import Question
from assets.framework.partitions import Scenario


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance, as `scenario_dialogues` holds it."""

    speaker: str  # "teacher", "student", "student A", ...
    role: str | None  # the profile's role; None where no model was called
    side: str  # "human" or "gpt"
    text: str
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class DialogueInput:
    """A task as it was held: the dialogue, and its one question (two in an analogy)."""

    dialogue_id: str
    scenario: Scenario
    domain: str
    complete: bool  # False: set aside by the classroom
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]
    first_answer: str  # "right", "wrong" or "unknown": the first student's own
    debate_rounds: int | None = None

    @property
    def answers(self) -> tuple[str, ...]:
        """The closing answer to each question, in order of `questions`; empty where it never came to one."""
        students = [turn.text for turn in self.turns if turn.side == "gpt"]
        if self.scenario is Scenario.ANALOGY:
            return (*students, "", "")[: len(self.questions)]
        return (students[-1] if students else "",)

    @property
    def spoken(self) -> tuple[Turn, ...]:
        """The turns that a model wrote."""
        return tuple(turn for turn in self.turns if turn.role is not None)

    def own_words(self, turn: Turn) -> str:
        """A turn's text without the question that the classroom put in front of a teacher's explanation."""
        opening = self.questions[0].text if self.questions else ""
        return turn.text.removeprefix(opening) if turn.side == "human" else turn.text


def dialogue_inputs(
    dialogues: Iterable[Mapping[str, Any]], questions: Mapping[str, Question], rounds: Mapping[str, int | None]
) -> list[DialogueInput]:
    """Rows of `scenario_dialogues` beside their seeds, in the rows' order.

    Args:
        dialogues: the rows.
        questions: by seed_id; every seed and partner that the rows name.
        rounds: debate rounds of the plans, by seed_id.

    Raises:
        KeyError: a row names a seed that is not there; the message is the seed_id.
    """
    return [
        DialogueInput(
            dialogue_id=row["dialogue_id"],
            scenario=Scenario(row["scenario"]),
            domain=row["domain"],
            complete=row["status"] == "complete",
            turns=tuple(
                Turn(turn["speaker"], turn["role"], turn["side"], turn["text"], turn["finish_reason"])
                for turn in row["turns"]
            ),
            questions=tuple(questions[key] for key in (row["seed_id"], row["partner_seed_id"]) if key is not None),
            first_answer=row["first_answer"],
            debate_rounds=rounds.get(row["seed_id"]),
        )
        for row in dialogues
    ]
