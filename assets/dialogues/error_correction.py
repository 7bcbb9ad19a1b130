"""Error correction: a weak student tries, the teacher reviews, a strong student corrects (METHOD: error correction).

| turn | speaker | sees | must |
| --- | --- | --- | --- |
| 1 | teacher, no call | – | pose the question |
| 2 | weak student | the question only | try, step by step, with a final answer |
| 3 | teacher | question, attempt, reference | say what is wrong, missing or right; hint, not tell |
| 4 | strong student | all of it, and the reference | own what was wrong, redo it, reach the right result |
"""

from assets.dialogues.lesson import Lesson
from assets.dialogues.script import Posed, Script, Spoken
from assets.dialogues.sides import STUDENT, TEACHER
from resources.chat.profile import Role

PROMPTS = {
    Role.WEAK_STUDENT: ("weak_student",),
    Role.CRITIC_TEACHER: ("critic_teacher",),
    Role.STRONG_STUDENT: ("strong_student",),
}


def error_correction(lesson: Lesson) -> Script:
    """The turns of one lesson, in order."""
    asked = lesson.question
    yield Posed(TEACHER, asked.text)
    attempt = yield Spoken(STUDENT, Role.WEAK_STUDENT, "weak_student", sees={"question": asked.in_full}, answers=asked)
    advice = yield Spoken(
        TEACHER,
        Role.CRITIC_TEACHER,
        "critic_teacher",
        sees={"question": asked.in_full, "answer": attempt, "reference": asked.reference},
    )
    yield Spoken(
        STUDENT,
        Role.STRONG_STUDENT,
        "strong_student",
        sees={"question": asked.in_full, "answer": attempt, "advice": advice, "reference": asked.reference},
        answers=asked,
    )
