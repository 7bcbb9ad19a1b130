"""Analogy: a question is explained and solved, then a similar one solved the same way (METHOD: analogy).

| turn | speaker | sees | must |
| --- | --- | --- | --- |
| 1 | teacher | the question | pose it, then explain an approach: no calculation, no result |
| 2 | student | question, explanation, reference | one paragraph, full calculation, the right result |
| 3 | teacher, no call | – | praise, pose the similar question |
| 4 | student | the second question, its reference, and what was said | as turn 2 |
"""

from assets.dialogues.sharegpt_roles import STUDENT, TEACHER
from assets.dialogues.steps import FixedTurn, ModelTurn, Steps
from assets.dialogues.task import DialogueTask
from resources.chat.profile import Role

PROMPTS = {
    Role.EXPLAINING_TEACHER: ("explaining_teacher",),
    Role.ANALOGY_STUDENT: ("analogy_student", "similar_question", "analogy_student_again"),
}


def analogy(task: DialogueTask) -> Steps:
    """The turns of one task. Raises ValueError if the task has no second question."""
    asked, similar = task.question, task.similar
    if similar is None:
        raise ValueError(f"dialogue {task.dialogue_id}: its plan is an analogy without a partner")
    explanation = yield ModelTurn(
        TEACHER,
        Role.EXPLAINING_TEACHER,
        "explaining_teacher",
        sees={"question": asked.in_full},
        must_not_answer=asked,
        opening=asked.text,
        one_paragraph=True,
    )
    answer = yield ModelTurn(
        STUDENT,
        Role.ANALOGY_STUDENT,
        "analogy_student",
        sees={"question": asked.in_full, "explanation": explanation, "reference": asked.reference},
        answers=asked,
        one_paragraph=True,
    )
    yield FixedTurn(TEACHER, similar.text, prompt="similar_question")
    yield ModelTurn(
        STUDENT,
        Role.ANALOGY_STUDENT,
        "analogy_student_again",
        sees={
            "question": similar.in_full,
            "explanation": explanation,
            "first_question": asked.in_full,
            "first_answer": answer,
            "reference": similar.reference,
        },
        answers=similar,
        one_paragraph=True,
    )
