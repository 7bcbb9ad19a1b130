"""Who can see a reference: a role that is declared weak must not, directly or in the words of others."""

import pytest
import yaml

from assets.framework.scenarios.declaration import ScenarioDeclaration
from assets.framework.scenarios.faults import declaration_faults

BEGINNING = """\
description: A guide asks and a learner answers.
speakers:
  guide: {side: human}
  learner: {side: gpt}
roles:
  beginner: {weak: true}
  expert: {}
"""


def turn(say: str, speaker: str, role: str, sees: str, more: str = "") -> str:
    return f"{{say: {say}, speaker: {speaker}, role: {role}, prompt: {say}, sees: [{sees}]{more}}}"


LEAKS: list[tuple[list[str], str | None]] = [
    ([turn("a", "learner", "beginner", "question")], None),
    ([turn("a", "learner", "beginner", "reference")], "through `reference`"),
    ([turn("a", "learner", "beginner", "similar_reference")], "through `similar_reference`"),
    (
        [turn("a", "learner", "expert", "reference"), turn("b", "guide", "beginner", "a")],
        "through `a`, whose speaker saw `reference`",
    ),
    (
        [
            turn("a", "learner", "expert", "reference"),
            turn("b", "guide", "expert", "a"),
            turn("c", "learner", "beginner", "b"),
        ],
        "through `b`, whose speaker saw `a`",
    ),
    ([turn("a", "learner", "expert", "reference"), turn("b", "guide", "beginner", "dialogue")], "through `dialogue`"),
    ([turn("a", "learner", "expert", "question"), turn("b", "guide", "beginner", "dialogue")], None),
    (
        [
            turn("a", "learner", "expert", "reference"),
            turn("b", "guide", "expert", "question"),
            turn("c", "learner", "beginner", "own_turns"),
        ],
        "through `own_turns`, which has `a`",
    ),
    ([turn("a", "learner", "expert", "reference"), turn("b", "guide", "beginner", "own_turns")], None),
]
# In a loop: the weak step comes before the one that sees the reference, so that only later iterations leak.
LOOPS: list[tuple[int, list[str], str | None]] = [
    (1, [turn("a", "learner", "beginner", "dialogue"), turn("b", "guide", "expert", "reference")], None),
    (
        2,
        [turn("a", "learner", "beginner", "dialogue"), turn("b", "guide", "expert", "reference")],
        "through `dialogue`",
    ),
    *(
        (
            often,
            [
                turn("a", "learner", "beginner", "own_turns"),
                turn("b", "guide", "expert", "own_turns"),
                turn("c", "learner", "expert", "b"),
                turn("d", "guide", "expert", "reference"),
            ],
            through,
        )
        for often, through in ((2, None), (3, "through `own_turns`, which has `c`"))
    ),
]


def scenario_of(steps: str, last: str) -> str:
    """A scenario with these steps between the question and a closing answer."""
    rest = "role: expert, prompt: p, sees: [question], answers: question, judged: true"
    ending = [f"  - {{say: end, speaker: learner, {rest}}}"]
    if last == "learner":
        ending.insert(0, "  - {pose: question, speaker: guide}")
    start = "steps:\n  - {pose: question, speaker: guide}\n"
    return "\n".join([BEGINNING + start + steps, *ending, ""])


@pytest.mark.parametrize(
    ("steps", "through"),
    [("\n".join(f"  - {step}" for step in steps), through) for steps, through in LEAKS]
    + [
        (f"  - repeat: {often}\n    steps:\n" + "\n".join(f"      - {step}" for step in steps), through)
        for often, steps, through in LOOPS
    ],
)
def test_a_weak_role_must_not_see_a_reference_even_in_others_words(steps: str, through: str | None) -> None:
    last = "guide" if steps.rfind("speaker: guide") > steps.rfind("speaker: learner") else "learner"
    declaration = ScenarioDeclaration.model_validate(yaml.safe_load(scenario_of(steps, last)))
    messages = [message for _, message in declaration_faults(declaration) if "is weak" in message]
    assert len(messages) == (0 if through is None else 1), messages
    assert through is None or through in messages[0]
