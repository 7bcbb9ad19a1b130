import pytest

from assets.dialogues.questions import Question


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("She sells 9 * 2 = $<<9*2=18>>18 a day.\n#### 18", "She sells 9 * 2 = $18 a day.\nThe answer is 18."),
        ("#### 1,200", "The answer is 1,200."),
        ("#### -3.5\n", "The answer is -3.5."),
        ("1. #### 16 is a heading\nof a kind", "1. #### 16 is a heading\nof a kind"),
        ("#### Plan\nBegin at 9.", "#### Plan\nBegin at 9."),
        ("cout << x >> y; a <<= b", "cout << x >> y; a <<= b"),
    ],
)
def test_prompts_show_references_without_the_marks_of_their_dataset(reference: str, shown: str) -> None:
    question = Question("id", "How many?", reference, None, "math")
    assert (question.shown_reference, question.reference) == (shown, reference)
