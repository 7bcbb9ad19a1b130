"""Reading answers: labels, marks, code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.evaluation.benchmark_question import BenchmarkQuestion, Option
from assets.evaluation.grading import extract_code, grade_choice, read_judge_mark

LETTERED = BenchmarkQuestion("?", "B", options=tuple(Option(label, label * 3) for label in "ABCD"))
NUMBERED = BenchmarkQuestion("?", "2", options=tuple(Option(label, label * 3) for label in "1234"))
START = 'from math import pi\n\ndef area(r):\n    """Area of a circle."""'
TO_COMPLETE = BenchmarkQuestion(START, "assert area(0) == 0", entry_point="area", start=START)
FREE = BenchmarkQuestion("?", "", entry_point="area")


@pytest.mark.parametrize(
    "output",
    [
        "[B]",
        "First [A], but no: [B].",
        "The answer is **[B]**.",
        "[ b ]",
        "[B) 42]",
        "[Option B]",
        "So [B]. As nums[0] shows, [0] is the first.",
        "[B] [/INST]",
    ],
)
def test_the_last_label_in_brackets_is_the_answer(output: str) -> None:
    assert grade_choice(output, LETTERED).extracted == "B"


@pytest.mark.parametrize("output", ["[A, B]", "[AB]", "[A or B]", "[A/B]", "[A and B]", "Surely [B]. Or: [A, B]"])
def test_two_options_in_the_last_bracket_are_unreadable(output: str) -> None:
    verdict = grade_choice(output, LETTERED)
    assert (verdict.verdict, verdict.reason, verdict.extracted) == ("unreadable", "two_labels", "A, B")


@pytest.mark.parametrize("output", ["[F]", "[x]", "[B], no, [F]"])
def test_a_label_outside_the_options_is_unreadable(output: str) -> None:
    verdict = grade_choice(output, LETTERED)
    assert (verdict.verdict, verdict.reason) == ("unreadable", "other_label")


@pytest.mark.parametrize("output", ["", "B", "The answer is (B).", "[1, 2]", "answers[B]", "[]"])
def test_without_a_label_in_brackets_nothing_is_read(output: str) -> None:
    verdict = grade_choice(output, LETTERED)
    assert (verdict.verdict, verdict.reason) == ("unreadable", "no_label")


def test_numbers_can_be_labels() -> None:
    assert grade_choice("So [2].", NUMBERED).verdict == "right"


def test_another_option_is_wrong() -> None:
    verdict = grade_choice("[C]", LETTERED)
    assert (verdict.verdict, verdict.reason, verdict.extracted) == ("wrong", "other_option", "C")


@given(st.text(alphabet="[]ABCDFx ,/or.\n", max_size=60))
def test_whatever_is_read_as_decided_is_an_option(output: str) -> None:
    verdict = grade_choice(output, LETTERED)
    assert verdict.verdict == "unreadable" or verdict.extracted in LETTERED.labels


@pytest.mark.parametrize(
    ("said", "mark"), [("<1>", True), ("It is not. <0>", False), ("<0>? No: <1>", True), ("1", None), ("<2>", None)]
)
def test_the_judges_last_mark_counts(said: str, mark: bool | None) -> None:
    assert read_judge_mark(said) is mark


def test_the_last_block_that_defines_the_function_is_the_program() -> None:
    first, better, call = "def area(r):\n    return 1", "def area(r):\n    return 2", "area(3)"
    output = f"```python\n{first}\n```\nBetter:\n```python\n{better}\n```\n```\n{call}\n```"
    assert extract_code(output, FREE) == "def area(r):\n    return 2\n"


def test_a_block_that_was_cut_off_is_read_to_its_end() -> None:
    assert extract_code("```python\ndef area(r):\n    return 2", FREE) == "def area(r):\n    return 2"


def test_what_stands_before_the_function_in_the_question_comes_along() -> None:
    code = extract_code("```python\ndef area(r):\n    return pi * r * r\n```", TO_COMPLETE)
    assert code is not None
    assert code.startswith("from math import pi\n\ndef area(r):")


def test_a_body_completes_the_questions_start() -> None:
    code = extract_code("    return pi * r * r\n\nprint(1)\n", TO_COMPLETE)
    assert code == f"{START}\n    return pi * r * r\n\n"


def test_code_without_a_fence_ends_where_it_no_longer_parses() -> None:
    code = extract_code("Sure!\ndef area(r):\n    return 2\n\nThis returns two.", FREE)
    assert code == "def area(r):\n    return 2\n"


@pytest.mark.parametrize("output", ["", "I cannot do that.", "``` \n```"])
def test_an_answer_without_code_has_none(output: str) -> None:
    assert extract_code(output, FREE) is None


def blocks_by_line(output: str) -> list[str]:
    """What stands between fences, read line by line: a block ends at the first line that begins with its fence."""
    blocks: list[str] = []
    fence = ""
    for line in output.splitlines(keepends=True):
        beginning = line.lstrip(" \t")
        if fence and beginning.startswith(fence):
            fence = ""
        elif fence:
            blocks[-1] += line
        elif beginning.startswith(("```", "~~~")) and line.endswith("\n"):
            fence = beginning[: len(beginning) - len(beginning.lstrip(beginning[0]))]
            blocks.append("")
    return blocks


@given(st.text(alphabet="`~ \tx\n", max_size=80))
def test_code_stands_between_fences(output: str) -> None:
    blocks = blocks_by_line(output)
    code = blocks[-1] if blocks and blocks[-1].strip() else None
    assert extract_code(output, FREE) == code


@pytest.mark.parametrize("line", ["```" + "x" * 99_000, "`" * 99_000, "```" + " " * 99_000, " " * 99_000 + "```"])
def test_a_line_of_any_length_is_read_once(line: str) -> None:
    """Read again from each of its letters, as patterns do that give back what they took, each takes many seconds."""
    assert extract_code(line, FREE) is None
