"""Signals of single texts: copying, betrayal, code, secrets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quality.code_blocks import code_parses, python_blocks
from assets.quality.copying import copied_share, covered_indexes, repeated_share, runs
from assets.quality.reference_leaks import reference_mentions
from assets.quality.secrets_scan import count_secrets

A = "First I take the twelve marbles, then I take away five of them, so seven marbles are left."
OWN = "My way is another one: counting back from a dozen, one marble at a time, I stop at number seven."


def test_a_debater_who_says_the_same_words_copies(task: Any) -> None:
    assert copied_share(task("debate", "q", A, A, "c")) == 1.0


def test_a_debater_with_own_words_copies_nothing(task: Any) -> None:
    assert copied_share(task("debate", "q", A, OWN, "c")) == 0.0


def test_a_copied_half_is_a_half(task: Any) -> None:
    assert 0.3 < copied_share(task("debate", "q", A, f"{A} {OWN}", "c")) < 0.7


def test_the_closer_may_take_over_what_was_right(task: Any) -> None:
    assert copied_share(task("debate", "q", A, OWN, f"Student A was right. {A}")) == 0.0


def test_restating_the_question_is_no_copying(task: Any) -> None:
    asked = task().questions[0].text
    assert copied_share(task("debate", asked, f"{asked} I say 7.", f"{asked} I say 8.", "c")) == 0.0


def test_the_strong_student_may_keep_what_was_right(task: Any) -> None:
    assert copied_share(task("error_correction", "q", A, "b", A)) == 0.0


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_no_more_is_covered_or_repeated_than_there_is(one: list[str], other: list[str]) -> None:
    assert covered_indexes(one, runs(other, 3), 3) <= set(range(len(one)))
    assert 0 <= repeated_share(one, 3) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "According to the reference answer, it is 7.",
        "This matches the standard solution.",
        "The answer key says 7.",
        "Based on the provided solution, it is 7.",
        "My notes say that it is 7.",
        "As shown in the notes, according to my notes, it is 7.",
        "I was given the answer, 7.",
    ],
)
def test_a_student_who_speaks_of_the_reference_betrays_it(text: str) -> None:
    assert reference_mentions(text, by_student=True)


@pytest.mark.parametrize(
    "text",
    [
        "I agree with student A's answer.",
        "My answer is 7, and the solution is simple.",
        "The given answer choices are A and B.",
        "Based on the given numbers, it is 7.",
        "The musician notes say C and D.",
        "Take notes of each step.",
        "I refer to the question.",
    ],
)
def test_ordinary_words_betray_nothing(text: str) -> None:
    assert not reference_mentions(text, by_student=True)


def test_a_teacher_may_call_the_students_answer_the_given_one() -> None:
    assert not reference_mentions("The provided solution is wrong.", by_student=False)
    assert reference_mentions("The reference answer is another.", by_student=False)


@pytest.mark.parametrize(
    ("text", "parses"),
    [
        ("```python\ndef f(x):\n    return x + 1\n```", True),
        ("```python\ndef f(x)\n    return x\n```", False),
        ("```py\n    x = 1\n    y = 2\n```", True),
        ("```\nfor x in range(3):\n    print(x)\n```", True),
        ("```python\n>>> 1 + 1\n2\n```", True),
        ("```python\nprint 'old'\n```", False),
        ("```javascript\nfunction f() { return 1 }\n```", None),
        ("```\nint main() {\n  return 0;\n}\n```", None),
        ("There is no code, def or not.", None),
        ("```python\nx = 1\n```\nand\n```python\nx ==\n```", False),
        ("```python\n" + "-" * 30_000 + "1\n```", False),
        ("```python\nx = 1", True),
    ],
)
def test_python_blocks_are_parsed(text: str, parses: bool | None) -> None:
    assert code_parses([text]) is parses


def test_code_is_never_executed(tmp_path: Any) -> None:
    trace = tmp_path / "trace"
    assert code_parses([f"```python\nopen({str(trace)!r}, 'w')\n```"])
    assert not trace.exists()


@pytest.mark.parametrize("line", ["```" + "x" * 99_000, "`" * 99_000, "```" + " " * 99_000])
def test_a_line_of_any_length_is_read_once(line: str) -> None:
    """Read again from each of its letters, as patterns do that give back what they took, each takes many seconds."""
    assert python_blocks(line) == []


@given(st.text(alphabet="`py\n :(x)", max_size=80))
def test_any_text_has_its_blocks(text: str) -> None:
    assert all(isinstance(block, str) for block in python_blocks(text))


@pytest.mark.parametrize(
    "text",
    [
        "key = AKIAIOSFODNN7EXAMPLE",
        "api_key = 'd8f7a6s5d4f3g2h1j0k9l8'",
        "-----BEGIN RSA PRIVATE KEY-----",
        "git clone https://x:" + "ghp_" + "a1B2" * 9 + "@host/repo",
    ],
)
def test_keys_are_secrets(text: str) -> None:
    assert count_secrets(text) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "password = 'secret'",
        "def check(password): return password == 'hunter2'",
        "postgres://user:password@localhost/db",
        "The hash is da39a3ee5e6b4b0d3255bfef95601890afd80709.",
        "The server is 8.8.8.8 and the result is 12.",
        "",
    ],
)
def test_examples_are_no_secrets(text: str) -> None:
    assert count_secrets(text) == 0
