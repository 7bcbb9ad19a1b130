"""What teachers say of answers, and whether it was so."""

from typing import Any

import pytest

from assets.dialogues.questions import Question
from assets.quality.teacher_claims import claim_of, false_claim, gave_away_result

SUM = Question("s1", "What is 3 + 4?", "3 + 4 = 7", "7", "math")
SIMILAR = Question("s2", "What is 5 + 6?", "5 + 6 = 11", "11", "math")


@pytest.mark.parametrize(
    "text",
    [
        "Your answer is wrong. Look at the second step again.",
        "Your answer is not correct.",
        "The final answer is incorrect because you added instead of subtracting.",
        "You made a mistake in the second step.",
        "There is an error: the mistake is in the first line.",
        "That's not right. Try to subtract.",
        "The process is flawed.",
        "Your first step is fine, but the final answer is wrong.",
    ],
)
def test_plain_blame_is_read(text: str) -> None:
    assert claim_of(text) == "wrong"


@pytest.mark.parametrize(
    "text",
    [
        "Your answer is correct and complete.",
        "Well done! You solved it correctly.",
        "The answer is right, but you should show how you got there.",
        "You are absolutely right.",
        "There is no mistake in your steps.",
        "You did not make any mistakes. Now explain the second step.",
        "You got the right answer.",
    ],
)
def test_plain_praise_is_read(text: str) -> None:
    assert claim_of(text) == "right"


@pytest.mark.parametrize(
    "text",
    [
        "Think about what giving away means.",
        "Check whether your answer is correct.",
        "If your answer is wrong, try again.",
        "Your answer is correct, but your reasoning is wrong.",
        "Your process is right. However, you made a mistake in the end.",
        "Make sure that the result is right.",
        "",
    ],
)
def test_what_is_not_plain_is_no_claim(text: str) -> None:
    assert claim_of(text) == "unclear"


@pytest.mark.parametrize(
    ("first_answer", "advice", "expected"),
    [
        ("wrong", "Your answer is wrong.", False),
        ("wrong", "Your answer is correct.", True),
        ("right", "Your answer is correct.", False),
        ("right", "Your answer is wrong.", True),
        ("right", "Think again.", None),
        ("unknown", "Your answer is wrong.", None),
    ],
)
def test_a_claim_is_held_against_the_first_answer(
    task: Any, first_answer: str, advice: str, expected: bool | None
) -> None:
    taught = task("error_correction", "q", "a", advice, "c", first_answer=first_answer)
    assert false_claim(taught) is expected


@pytest.mark.parametrize(("first_answer", "expected"), [("right", False), ("wrong", True), ("unknown", None)])
def test_an_analogys_scripted_praise_is_a_claim(task: Any, first_answer: str, expected: bool | None) -> None:
    taught = task("analogy", "q", "a", "Well done.", "c", questions=(SUM, SIMILAR), first_answer=first_answer)
    assert false_claim(taught) is expected


def test_nobody_claims_anything_in_a_debate(task: Any) -> None:
    assert false_claim(task("debate", "q", "a", "Your answer is wrong.", "c")) is False


@pytest.mark.parametrize(
    ("attempt", "advice", "expected"),
    [
        ("I get 8.", "Add again; you should get 7.", True),
        ("I get 8.", "Add again.", False),
        ("I get 7.", "Yes, 7 is right.", False),
        ("I get 7.", "You are right. The answer is 7.", True),
        ("I get 8.", "Look again. The answer is 9.", True),
    ],
)
def test_a_result_told_before_the_student_found_it_is_given_away(
    task: Any, attempt: str, advice: str, expected: bool
) -> None:
    assert gave_away_result(task("error_correction", SUM.text, attempt, advice, "c", questions=(SUM,))) is expected


def test_the_explanation_may_not_hold_the_result(task: Any) -> None:
    explained = "What is 3 + 4?\n\nCount on from 3 until you are at 7."
    assert gave_away_result(task("analogy", explained, "a", "b", "c", questions=(SUM, SIMILAR)))


@pytest.mark.parametrize(
    "question",
    [
        Question("s", "What is 7 - 0?", "7", "7", "math"),
        Question("s", "Name a town.", "Rome.", None, "general"),
    ],
    ids=["the question has the result", "there is no result"],
)
def test_where_a_result_cannot_be_told_from_the_question_nothing_is_known(task: Any, question: Question) -> None:
    taught = task("error_correction", question.text, "a", "It is 7, Rome.", "c", questions=(question,))
    assert gave_away_result(taught) is None
