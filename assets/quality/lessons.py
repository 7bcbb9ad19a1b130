"""A dialogue beside what it was to teach: the plain data that signals and judge read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of a dialogue, as `scenario_dialogues` holds it."""

    speaker: str  # "teacher", "student", "student A", ...
    role: str | None  # the profile's role; None where no model was called
    side: str  # "human" or "gpt"
    text: str
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A seed, as far as quality needs it."""

    question: str
    answer: str
    final: str | None  # the answer's result, where one could be read off


@dataclass(frozen=True, slots=True)
class Lesson:
    """A dialogue and its seeds: one, and in an analogy a second."""

    dialogue_id: str
    scenario: str
    domain: str
    complete: bool  # False: set aside by the classroom
    turns: tuple[Turn, ...]
    references: tuple[Reference, ...]
    first_answer: str  # "right", "wrong" or "unknown": the first student's own
    debate_rounds: int | None = None

    @property
    def answers(self) -> tuple[str, ...]:
        """The closing answer to each question, in order of `references`; empty texts where it never came to one."""
        students = [turn.text for turn in self.turns if turn.side == "gpt"]
        if self.scenario == "analogy":
            return tuple((students + ["", ""])[: len(self.references)])
        return (students[-1] if students else "",)


def lessons_of(
    dialogues: Iterable[Mapping[str, Any]], seeds: Mapping[str, Reference], rounds: Mapping[str, int | None]
) -> list[Lesson]:
    """Rows of `scenario_dialogues` as lessons, in their order.

    Args:
        dialogues: the rows.
        seeds: by seed_id, every seed and partner that the rows name.
        rounds: debate rounds of the plans, by seed_id.

    Raises:
        KeyError: a row names a seed that is not there; the message is the seed_id.
    """
    return [
        Lesson(
            dialogue_id=row["dialogue_id"],
            scenario=row["scenario"],
            domain=row["domain"],
            complete=row["status"] == "complete",
            turns=tuple(
                Turn(turn["speaker"], turn["role"], turn["side"], turn["text"], turn["finish_reason"])
                for turn in row["turns"]
            ),
            references=tuple(seeds[key] for key in (row["seed_id"], row["partner_seed_id"]) if key is not None),
            first_answer=row["first_answer"],
            debate_rounds=rounds.get(row["seed_id"]),
        )
        for row in dialogues
    ]
