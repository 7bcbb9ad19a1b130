import pytest

from assets.dialogues.layout import one_paragraph

PROSE = [
    "First.\n\n  Then.\n- Last.",
    "I put both numbers together\nand count on.\nThe answer is 7.",
    "Student B is right:\n\nthree and four are seven.\n\nThe answer is 7.",
    "There are 3 bags with 4 apples each, which makes 12 apples, and Ann\nBrown eats 2 of them. So 10 are left.",
    "First we add 3 and 4.\n$3 + 4 = 7$.\nThe answer is 7.",
]
LINES = [
    "```python\nx = 1\n```",
    "Use a loop:\n\n```\nfor x in y:\n    f(x)\n```\n\nIt ends.",
    "def f(x):\n    return 2 * x",
    "int x = 1;\nint y = 2;",
    "import os\nprint(os.getcwd())",
    "- a red one\n- a blue one",
    "1. Fill the pot.\n2. Boil it.\n3. Serve.",
    "Step 1: add.\nStep 2: divide.",
    "| a | b |\n| - | - |\n| 1 | 2 |",
    "# Plan\nWe begin at nine.",
    "Rain on the roof,\nA song all night.\nThe morning comes.",
    "Roses are red,\nViolets are blue.",
    "Snow on the hill\nA crow on the wire\nNothing moves",
    "Dear Ms Lee,\n\nThank you for the book.\n\nBest regards,\nAnn",
    "3 + 4 = 7\n7 - 2 = 5\nSo 5 are left.",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_becomes_one_paragraph(text: str) -> None:
    assert one_paragraph(text) == " ".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("text", LINES)
def test_other_texts_keep_their_lines(text: str) -> None:
    assert one_paragraph(text) == text
