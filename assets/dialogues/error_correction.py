"""Error correction: a weak student tries, the teacher reviews, a strong student corrects (METHOD: error correction).

| turn | speaker | sees | must |
| --- | --- | --- | --- |
| 1 | teacher, no call | – | pose the question |
| 2 | weak student | the question only | try, step by step, with a final answer |
| 3 | teacher | question, attempt, reference | say what is wrong, missing or right; give hints, not the result |
| 4 | strong student | all of it, and the reference | own what was wrong, redo it, reach the right result |

A weak student may be right by accident. Where a rule finds the result to agree with the reference, teacher and strong
student get prompts that say so and ask only for what is missing; no prompt ever says that a result is wrong.
"""

from assets.answers.check import check_answer
from assets.dialogues.sharegpt_roles import STUDENT, TEACHER
from assets.dialogues.steps import FixedTurn, ModelTurn, Steps
from assets.dialogues.task import DialogueTask
from resources.chat.profile import Role

PROMPTS = {
    Role.WEAK_STUDENT: ("weak_student",),
    Role.CRITIC_TEACHER: ("critic_teacher", "critic_teacher_right"),
    Role.STRONG_STUDENT: ("strong_student", "strong_student_right"),
}


def error_correction(task: DialogueTask) -> Steps:
    """The turns of one task, in order."""
    asked = task.question
    yield FixedTurn(TEACHER, asked.text)
    attempt = yield ModelTurn(
        STUDENT, Role.WEAK_STUDENT, "weak_student", sees={"question": asked.in_full}, answers=asked
    )
    agrees = check_answer(attempt, asked.reference_final, asked.domain) == "right"
    advice = yield ModelTurn(
        TEACHER,
        Role.CRITIC_TEACHER,
        "critic_teacher_right" if agrees else "critic_teacher",
        sees={"question": asked.in_full, "answer": attempt, "reference": asked.reference},
        must_not_answer=asked,
        said_before=attempt,
    )
    yield ModelTurn(
        STUDENT,
        Role.STRONG_STUDENT,
        "strong_student_right" if agrees else "strong_student",
        sees={"question": asked.in_full, "answer": attempt, "advice": advice, "reference": asked.reference},
        answers=asked,
    )
