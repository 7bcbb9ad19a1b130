"""Bugs in code: they parse, they differ, and the rest of the text stays."""

import ast

import pytest

from assets.judge_calibration.code_faults import with_bug, with_code_bug

FENCED = "Here it is:\n\n```python\n{}\n```\n\nIt prints 5."


@pytest.mark.parametrize(
    ("code", "bugs"),
    [
        ("ok = a < b", {"ok = a > b"}),
        ("ok = a == b  # equal", {"ok = a != b  # equal"}),
        ("ok = a in b", {"ok = a not in b"}),
        ("for n in range(5):\n    print(n)", {"for n in range(6):\n    print(n)"}),
        ("total = price * count", {"total = price + count"}),
        ("é = 'é' + x - 1", {"é = 'é' + x + 1", "é = 'é' - x - 1", "é = 'é' + x - 2"}),
        ("x = (a + b)", {"x = (a - b)"}),
    ],
)
def test_a_bug_changes_one_place_and_keeps_the_layout(code: str, bugs: set[str]) -> None:
    found = {with_bug(code, str(number)) for number in range(40)}
    assert found == bugs
    for bug in bugs:
        ast.parse(bug)


@pytest.mark.parametrize(
    "code", ["print('hello')", "x = True", "if __name__ == '__main__':\n    main()", "def f(:", "x = 'a < 1'"]
)
def test_code_without_such_a_place_has_no_bug(code: str) -> None:
    assert with_bug(code, "seed") is None


def test_the_bug_is_put_into_the_fenced_block_alone_and_is_the_same_every_time() -> None:
    text = FENCED.format("print(2 + 3)")
    bug = with_code_bug(text, "seed")
    assert bug is not None
    assert bug == with_code_bug(text, "seed") != text
    assert bug.startswith("Here it is:\n\n```python\n")
    assert bug.endswith("\n```\n\nIt prints 5.")


def test_a_text_without_python_has_no_bug() -> None:
    assert with_code_bug("2 + 3 is 5.", "seed") is None
