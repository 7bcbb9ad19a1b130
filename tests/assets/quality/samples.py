"""Dialogues in a few words."""

from collections.abc import Sequence
from typing import Any

from assets.dialogues.questions import Question
from assets.dialogues.sharegpt_roles import SIDES, speakers
from assets.framework.partitions import Scenario
from assets.quality.inputs import DialogueInput, Turn
from resources.identity import stable_hash

ROLES: dict[Scenario, tuple[str | None, ...]] = {
    Scenario.ERROR_CORRECTION: (None, "weak_student", "critic_teacher", "strong_student"),
    Scenario.ANALOGY: ("explaining_teacher", "analogy_student", None, "analogy_student"),
    Scenario.DEBATE: (None, "debater_a", "debater_b", "debate_closer"),
}
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
    kind = Scenario(scenario)
    turns = zip(speakers(kind, 1), ROLES[kind], texts or CORRECTED, strict=True)
    values = {
        "dialogue_id": stable_hash(scenario, texts),
        "scenario": kind,
        "domain": questions[0].domain,
        "complete": True,
        "turns": tuple(Turn(who, role, SIDES[kind][who], text, role and "stop") for who, role, text in turns),
        "questions": tuple(questions),
        "first_answer": first_answer,
        "debate_rounds": 1 if kind is Scenario.DEBATE else None,
        **changes,
    }
    return DialogueInput(**values)


def corrected(closing: str, *questions: Question) -> DialogueInput:
    """An error correction that ends with this answer to a question."""
    return make_dialogue("error_correction", "q", "a", "b", closing, questions=questions or (SUM,))
