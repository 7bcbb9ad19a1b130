"""Debate: A and B argue for one or two rounds, C sums up and decides (METHOD: debate).

| turn | speaker | sees | must |
| --- | --- | --- | --- |
| 1 | teacher, no call | – | pose the question |
| 2, 4 | student A | the question, and the debate so far | give a view of the problem and of the others' answers |
| 3, 5 | student B | the same | the same: A and B are peers |
| last | student C | the whole debate, and the reference | say who is right, with full steps and the right result |
"""

from collections.abc import Sequence

from assets.dialogues.sharegpt_roles import STUDENT_A, STUDENT_B, STUDENT_C, TEACHER, titled
from assets.dialogues.steps import FixedTurn, ModelTurn, Steps
from assets.dialogues.task import DialogueTask
from resources.chat.profile import Role

PROMPTS = {
    Role.DEBATER_A: ("debater_opening", "debater_reply"),
    Role.DEBATER_B: ("debater_reply",),
    Role.DEBATE_CLOSER: ("debate_closer",),
}
DEBATERS = {STUDENT_A: Role.DEBATER_A, STUDENT_B: Role.DEBATER_B}


def debate(task: DialogueTask) -> Steps:
    """The turns of one task, in order."""
    asked = task.question
    yield FixedTurn(TEACHER, asked.text)
    utterances: list[tuple[str, str]] = []
    for _ in range(task.debate_rounds or 1):
        for speaker, role in DEBATERS.items():
            text = yield ModelTurn(
                speaker,
                role,
                "debater_reply" if utterances else "debater_opening",
                sees={"name": titled(speaker), "question": asked.in_full, "transcript": transcript(utterances)},
                answers=asked,
                one_paragraph=True,
            )
            utterances.append((speaker, text))
    yield ModelTurn(
        STUDENT_C,
        Role.DEBATE_CLOSER,
        "debate_closer",
        sees={
            "name": titled(STUDENT_C),
            "question": asked.in_full,
            "transcript": transcript(utterances),
            "reference": asked.reference,
        },
        answers=asked,
        one_paragraph=True,
    )


def transcript(utterances: Sequence[tuple[str, str]]) -> str:
    """The utterances so far, each after the name of its speaker."""
    return "\n\n".join(f"{titled(speaker)}: {text}" for speaker, text in utterances)
