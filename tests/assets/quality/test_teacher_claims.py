"""What teachers claim about answers, and whether it is true."""

import pytest

from assets.dialogues.questions import Question
from assets.quality.teacher_claims import claim_of, false_claim, gave_away_result
from tests.assets.quality.samples import SIMILAR, SUM, make_dialogue

TAKEN_OFF = Question("s", "What is 7 - 0?", "7", "7", "math")
TOWN = Question("s", "Name a town.", "Rome.", None, "general")


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("wrong", "Your answer is wrong. Look at the second step again."),
        ("wrong", "Your answer is not correct."),
        ("wrong", "The final answer is incorrect because you added instead of subtracting."),
        ("wrong", "You made a mistake in the second step."),
        ("wrong", "There is an error: the mistake is in the first line."),
        ("wrong", "That's not right. Try to subtract."),
        ("wrong", "The process is flawed."),
        ("wrong", "Your first step is fine, but the final answer is wrong."),
        ("right", "Your answer is correct and complete."),
        ("right", "Well done! You solved it correctly."),
        ("right", "The answer is right, but you should show how you got there."),
        ("right", "You are absolutely right."),
        ("right", "There is no mistake in your steps."),
        ("right", "You did not make any mistakes. Now explain the second step."),
        ("right", "You got the right answer."),
        ("wrong", "The first step isn't correct."),
        ("wrong", "Your answer of 24 is not correct."),
        ("wrong", "You were close, but the final result is not right."),
        ("wrong", "You haven't found the right answer yet."),
        ("wrong", "You subtracted where you should have multiplied."),
        ("wrong", "The total is too large: look at the last line again."),
        ("wrong", "No, that is not the answer."),
        ("wrong", "You have the right idea. However, the second step is not correct."),
        ("right", "Your final answer matches the correct answer."),
        ("right", "Your result is right. Only one reason is missing."),
        ("right", "Great work! Nothing is missing."),
        ("right", "Everything is correct; nothing needs to change."),
        ("right", "Your result is not wrong; add the unit."),
        ("unclear", "The process is right but incomplete."),
        ("unclear", "Your answer is missing the unit."),
        ("unclear", "Is your answer correct? Check it with a small example."),
        ("unclear", "Think about what giving away means."),
        ("unclear", "Check whether your answer is correct."),
        ("unclear", "If your answer is wrong, try again."),
        ("unclear", "Your answer is correct, but your reasoning is wrong."),
        ("wrong", "Your process is right. However, you made a mistake in the end."),
        ("unclear", "Make sure that the result is right."),
        ("unclear", ""),
    ],
)
def test_a_claim_is_read_only_where_it_is_plain(claim: str, text: str) -> None:
    assert claim_of(text) == claim


@pytest.mark.parametrize(
    ("scenario", "first_answer", "advice", "expected"),
    [
        ("error_correction", "wrong", "Your answer is wrong.", False),
        ("error_correction", "wrong", "Your answer is correct.", True),
        ("error_correction", "right", "Your answer is correct.", False),
        ("error_correction", "right", "Your answer is wrong.", True),
        ("error_correction", "right", "Think again.", None),
        ("error_correction", "unknown", "Your answer is wrong.", None),
        # the fixed praise of an analogy is a claim, and a debate has no teacher who claims anything
        ("analogy", "right", "Well done.", False),
        ("analogy", "wrong", "Well done.", True),
        ("analogy", "unknown", "Well done.", None),
        ("debate", "wrong", "Your answer is wrong.", False),
    ],
)
def test_a_claim_is_compared_with_the_first_answer(
    scenario: str, first_answer: str, advice: str, expected: bool | None
) -> None:
    dialogue = make_dialogue(scenario, "q", "a", advice, "c", questions=(SUM, SIMILAR), first_answer=first_answer)
    assert false_claim(dialogue) is expected


@pytest.mark.parametrize(
    ("question", "attempt", "advice", "expected"),
    [
        (SUM, "I get 8.", "Add again; you should get 7.", True),
        (SUM, "I get 8.", "Add again.", False),
        (SUM, "I get 7.", "Yes, 7 is right.", False),
        (SUM, "I get 7.", "You are right. The answer is 7.", True),
        (SUM, "I get 8.", "Look again. The answer is 9.", True),
        (TAKEN_OFF, "a", "It is 7, Rome.", None),  # the question has the result
        (TOWN, "a", "It is 7, Rome.", None),  # there is no result
    ],
)
def test_a_teacher_who_states_a_result_first_gives_it_away(
    question: Question, attempt: str, advice: str, expected: bool | None
) -> None:
    dialogue = make_dialogue("error_correction", question.text, attempt, advice, "c", questions=(question,))
    assert gave_away_result(dialogue) is expected


def test_the_explanation_must_not_have_the_result() -> None:
    explained = "What is 3 + 4?\n\nCount on from 3 until you are at 7."
    assert gave_away_result(make_dialogue("analogy", explained, "a", "b", "c", questions=(SUM, SIMILAR)))
