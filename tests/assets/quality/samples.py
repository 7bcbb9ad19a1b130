"""Dialogues in a few words."""

from collections.abc import Sequence
from typing import Any

from assets.dialogues.questions import Question
from assets.framework.scenarios.declaration import Pose
from assets.framework.scenarios.declaration import Turn as Step
from assets.framework.scenarios.scenario import Scenario
from assets.quality.inputs import DialogueInput, Turn
from resources.identity import stable_hash
from tests.shipped_scenarios import SCENARIOS

MARBLES = Question(
    "s1",
    "Tom has 12 marbles and gives 5 away. How many are left?",
    "He keeps 12 - 5 = 7. The answer is 7.",
    "7",
    "math",
)
SUM = Question("s1", "What is 3 + 4?", "3 + 4 = 7", "7", "math")
SIMILAR = Question("s2", "What is 5 + 6?", "5 + 6 = 11", "11", "math")
CORRECTED = (
    MARBLES.text,
    "I add 12 and 5, which makes 17 marbles.",
    "Your answer is wrong. Think about what giving away does to the number.",
    "I added by mistake. Giving away means taking off, so 12 - 5 = 7. The answer is 7.",
)


def make_dialogue(
    scenario: str = "error_correction",
    *texts: str,
    questions: Sequence[Question] = (MARBLES,),
    first_answer: str = "wrong",
    **changes: Any,
) -> DialogueInput:
    """A dialogue of these texts: `make_dialogue("debate", "question", "A's words", "B's words", "C's words")`."""
    kind = SCENARIOS[scenario]
    steps = zip(kind.turns(1), texts or CORRECTED, strict=True)
    answers = [first_answer, *["unknown"] * 9]
    values = {
        "dialogue_id": stable_hash(scenario, texts),
        "scenario": kind,
        "domain": questions[0].domain,
        "complete": True,
        "turns": tuple(_turn(kind, step, text, answers) for step, text in steps),
        "questions": tuple(questions),
        "first_answer": first_answer,
        "repetitions": 1 if kind.repetitions else None,
        **changes,
    }
    return DialogueInput(**values)


def _turn(scenario: Scenario, step: Step, text: str, answers: list[str]) -> Turn:
    side = scenario.side(step.speaker)
    if isinstance(step, Pose):
        return Turn(step.speaker, None, side, text)
    return Turn(step.speaker, step.role, side, text, "stop", answers.pop(0) if step.answers else None)


def corrected(closing: str, *questions: Question) -> DialogueInput:
    """An error correction that ends with this answer to a question."""
    return make_dialogue("error_correction", "q", "a", "b", closing, questions=questions or (SUM,))
