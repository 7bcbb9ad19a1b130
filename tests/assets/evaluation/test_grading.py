"""Grading answers: labels, marks, code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.evaluation.benchmark_question import BenchmarkQuestion, Option
from assets.evaluation.grading import extract_code, grade_choice, read_judge_mark

LETTERED = BenchmarkQuestion("?", "B", options=tuple(Option(label, label * 3) for label in "ABCD"))
NUMBERED = BenchmarkQuestion("?", "2", options=tuple(Option(label, label * 3) for label in "1234"))
START = 'from math import pi\n\ndef area(r):\n    """Area of a circle."""'
TO_COMPLETE = BenchmarkQuestion(START, "assert area(0) == 0", entry_point="area", start=START)
CACHED = "from functools import cache\n\n@cache\ndef area(r):\n"
DECORATED = BenchmarkQuestion(CACHED, "assert area(0) == 0", entry_point="area", start=CACHED)
FREE = BenchmarkQuestion("?", "", entry_point="area")
ONE, TWO = (f"def area(r):\n    return {n}" for n in (1, 2))


@pytest.mark.parametrize(
    ("outputs", "grade"),
    [
        (
            [
                *("[B]", "First [A], but no: [B].", "The answer is **[B]**.", "[ b ]", "[B) 42]", "[Option B]"),
                *("So [B]. As nums[0] shows, [0] is the first.", "[B] [/INST]", "[B] or [B]", "Not [A] but [B]."),
            ],
            ("right", None, "B"),
        ),
        (["[C]"], ("wrong", "other_option", "C")),
        (
            [
                *("[A, B]", "[AB]", "[A or B]", "[A/B]", "[A and B]", "Surely [B]. Or: [A, B]"),
                *("[A] or [B]", "It is [C]. No, **[A]** or **[B]**.", "[A]/[B]", "[A], [B]", "[A]\n[B]", "[A] [B] [A]"),
                "[A], or perhaps option [B]",
            ],
            ("unreadable", "two_labels", "A, B"),
        ),
        (["[F]", "[B], no, [F]"], ("unreadable", "other_label", "F")),
        (["[x]"], ("unreadable", "other_label", "x")),
        (["", "B", "The answer is (B).", "[1, 2]", "answers[B]", "[]"], ("unreadable", "no_label", None)),
    ],
    ids=["right", "wrong", "two labels", "no option", "placeholder", "no label"],
)
def test_the_last_label_in_brackets_is_the_answer(
    outputs: list[str], grade: tuple[str, str | None, str | None]
) -> None:
    for output in outputs:
        found = grade_choice(output, LETTERED)
        assert (found.verdict, found.reason, found.extracted) == grade, output


def test_numbers_can_be_labels() -> None:
    assert grade_choice("So [2].", NUMBERED).verdict == "right"


@given(st.text(alphabet="[]ABCDFx ,/or.\n", max_size=60))
def test_whatever_is_read_as_decided_is_an_option(output: str) -> None:
    verdict = grade_choice(output, LETTERED)
    assert verdict.verdict == "unreadable" or verdict.extracted in LETTERED.labels


@pytest.mark.parametrize(
    ("said", "mark"),
    [
        *(("<1>", True), ("It is not. <0>", False), ("The same. **< 1 >**.\n", True), ("`<0>`", False)),
        *(("1", None), ("<2>", None), ("", None), ("<0>? No: <1>", None), ("<1><1>", None)),
        *(("The answer says <1>. It is wrong.", None), ("<1> and so on", None), ("<0>\n\nStudent: <1>", None)),
    ],
)
def test_the_judges_only_mark_counts_at_the_very_end(said: str, mark: bool | None) -> None:
    assert read_judge_mark(said) is mark


@pytest.mark.parametrize(
    ("question", "output", "code"),
    [
        (FREE, f"```python\n{ONE}\n```\nBetter:\n```python\n{TWO}\n```\n```\narea(3)\n```", f"{TWO}\n"),
        (FREE, f"```python\n{TWO}", TWO),
        (TO_COMPLETE, f"```python\n{TWO}\n```", f"from math import pi\n\n{TWO}\n"),
        (TO_COMPLETE, "    return pi * r * r\n\nprint(1)\n", f"{START}\n    return pi * r * r\n\n"),
        (FREE, f"Sure!\n{TWO}\n\nThis returns two.", f"{TWO}\n"),
        (DECORATED, f"```python\n{TWO}\n```", f"from functools import cache\n\n{TWO}\n"),
        (FREE, "", None),
        (FREE, "I cannot do that.", None),
        (FREE, "``` \n```", None),
    ],
    ids=["last block", "cut off", "preamble", "body", "decorator", "no fence", "empty", "refusal", "empty block"],
)
def test_the_program_in_an_answer_is_found(question: BenchmarkQuestion, output: str, code: str | None) -> None:
    assert extract_code(output, question) == code


@given(st.text(max_size=300))
def test_any_text_can_be_graded(output: str) -> None:
    assert grade_choice(output, LETTERED).verdict in ("right", "wrong", "unreadable")
    assert read_judge_mark(output) in (True, False, None)
    for question in (FREE, TO_COMPLETE):
        assert isinstance(extract_code(output, question), str | None)


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
