r"""Grading an answer: option labels, final answers, code blocks, the judge's `<1>` and `<0>`.

Answers are untrusted text. Reading one is linear in its length; code runs only in a sandbox.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from assets.answers.compare import compare_final
from assets.answers.read import read_final
from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.quality.code_blocks import is_python
from resources.sandbox.sandbox import DEFAULT_LIMITS, SandboxLimits, SandboxResult, run_code

Verdict = Literal["right", "wrong", "unreadable", "failed"]
READ_AT_MOST = 50_000  # characters from the end of an answer
LONGEST_CODE = 100_000
CODE_MAY_IMPORT = ("numpy",)  # EvalPlus's tests compare with it
LONGEST_PARSED, LINES_PARSED = 10_000, 150  # code without a fence: each further line costs one more parse


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on an answer and how it was reached, in the columns of `BENCHMARK_ANSWERS`."""

    verdict: Verdict
    reason: str | None = None
    extracted: str | None = None
    decided_by: str | None = None
    detail: str | None = None
    judge_output: str | None = None


def grade_by_plugin(output: str, question: BenchmarkQuestion, grade: Callable[[str, BenchmarkQuestion], Any]) -> Grade:
    """The grade by the function of a plug-in: right, wrong, None for unreadable; failed where it raises."""
    grades = {
        True: Grade("right"),
        False: Grade("wrong", "plugin_wrong"),
        None: Grade("unreadable", "plugin_unreadable"),
    }
    try:
        return replace(grades[grade(output, question)], decided_by="plugin")
    except Exception as error:  # code of others may raise anything
        return Grade("failed", "not_scored", detail=f"{type(error).__name__}: {str(error)[:500]}")


# -- multiple choice ---------------------------------------------------------------------------------------------------

_BRACKET = re.compile(r"(?<![\w\]\[])\[[ \t*_`]{0,8}([^\[\]\n]{1,200})\]")
_ENDING = re.compile(r"[\s*_`.]+\Z")
_CONTENT = re.compile(r"(?:option|choice|answer)?[ :]*\(?([A-Za-z0-9]{1,2})\)?(?:[).:][ \t].*)?", re.IGNORECASE)
_SEPARATOR = re.compile(r"[ ]*(?:[,;/|&]|\bor\b|\band\b)[ ]*", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:[\s,;/|&*_`]|\b(?:or|and|maybe|perhaps|also|else|either|option)\b)*", re.IGNORECASE)


def grade_choice(output: str, question: BenchmarkQuestion) -> Grade:
    """Grade a multiple-choice answer: the last `[x]` in it is the option that it names.

    Only what looks like a label counts as one: with options A to D, the `[0]` of a list does not. `[A, B]`, `[AB]` and
    `[A] or [B]` name two options.
    """
    labels = question.labels
    named: tuple[str, ...] = ()
    read, end = output[-READ_AT_MOST:], 0
    for match in _BRACKET.finditer(read):
        found = _labels_in(_ENDING.sub("", match[1]), labels)
        if found:
            before = named if _BETWEEN.fullmatch(read, end, match.start()) else ()
            named, end = tuple(dict.fromkeys((*before, *found))), match.end()
    if not named:
        return Grade("unreadable", "no_label", decided_by="label")
    if len(named) > 1:
        return Grade("unreadable", "two_labels", ", ".join(named), "label")
    (label,) = named
    if label not in labels:
        return Grade("unreadable", "other_label", label, "label")
    if label == question.reference:
        return Grade("right", None, label, "label")
    return Grade("wrong", "other_option", label, "label")


def _labels_in(content: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that the text in brackets names; none where it looks like something else."""
    single = _CONTENT.fullmatch(content)
    if single:
        token = single[1]
        if _known(token, labels) is None and len(token) == 2 and all(_known(one, labels) for one in token):
            return tuple(_known(one, labels) or one for one in token)
        return (_known(token, labels) or token,) if _has_label_form(token, labels) else ()
    known = [_known(one, labels) for one in _SEPARATOR.split(content) if one]
    if len(known) > 1 and all(known):
        return tuple(dict.fromkeys(label for label in known if label))
    return ()


def _known(token: str, labels: Sequence[str]) -> str | None:
    """The label that a token stands for, in upper or lower case."""
    if token in labels:
        return token
    return next((label for label in labels if label.lower() == token.lower()), None)


def _has_label_form(token: str, labels: Sequence[str]) -> bool:
    """Whether a token has the form of a label: letters or digits as the labels, and of the same length."""
    return any(token.isdigit() == label.isdigit() and len(token) == len(label) for label in labels)


# -- judged answers ----------------------------------------------------------------------------------------------------


def grade_by_rule(output: str, question: BenchmarkQuestion, domain: str) -> Grade | None:
    """Right or wrong where the final answers can be compared by rule (math-verify in mathematics); else None.

    Blocks, in mathematics for seconds.
    """
    given = read_final(output, domain)
    verdict = compare_final(given, question.reference, domain) if given else "unknown"
    if verdict == "right":
        return Grade("right", None, given, "rule")
    if verdict == "wrong":
        return Grade("wrong", "unequal", given, "rule")
    return None


_MARK = re.compile(r"<\s*([01])\s*>")
_MARKUP = "*_`. \t\n"  # may follow the mark


def read_judge_mark(output: str) -> bool | None:
    """The judge's `<1>` or `<0>` at the very end; None where there is none, or another mark anywhere."""
    marks = list(_MARK.finditer(output))
    at_the_end = len(marks) == 1 and not output[marks[0].end() :].strip(_MARKUP)
    return marks[0][1] == "1" if at_the_end else None


# -- code --------------------------------------------------------------------------------------------------------------

# Possessive quantifiers: the search does not backtrack letter by letter in a fence that no line ends.
_BLOCK = re.compile(r"^[ \t]*+(?P<fence>```++|~~~++)[^\n]*+\n(?P<code>.*?)(?:^[ \t]*+(?P=fence)|\Z)", re.S | re.M)
_FIRST_LINE = re.compile(r"^(?:@\w|def |async def |class |import |from )", re.MULTILINE)


def extract_code(output: str, question: BenchmarkQuestion) -> str | None:
    """The program in an answer: the last code block that defines the function, else the last block, else bare code.

    Where the question gives the start of a function, a function's body alone (what base models write) completes it,
    and a whole function gets the imports and helpers that precede it there.
    """
    output = output[-LONGEST_CODE:]
    blocks = [match["code"] for match in _BLOCK.finditer(output)]
    defining = [block for block in blocks if _defines(block, question.entry_point)]
    code = (defining or blocks)[-1] if blocks else _bare_code(output, question)
    if code is None or not code.strip():
        return None
    if not question.start:
        return code
    if _defines(code, question.entry_point):
        preamble = _preamble(question)
        return f"{preamble.rstrip()}\n\n{code}" if preamble.strip() else code
    indented = code if code[:1].isspace() else "\n".join(f"    {line}" for line in code.splitlines())
    return f"{question.start}\n{indented}"


def _defines(code: str, name: str) -> bool:
    return re.search(rf"^(?:async )?def {re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.MULTILINE) is not None


def _bare_code(output: str, question: BenchmarkQuestion) -> str | None:
    """Code without a fence: from its first line as far as it parses, or the body of a function to complete."""
    if question.start and output.lstrip("\n")[:1].isspace():
        body = output.lstrip("\n")
        end = re.search(r"^(?=\S)", body, re.MULTILINE)
        return body[: end.start()] if end and end.start() else body
    first = _FIRST_LINE.search(output)
    if first is None:
        return None
    lines = output[first.start() : first.start() + LONGEST_PARSED].splitlines()[:LINES_PARSED]
    ends = range(len(lines), 0, -1)
    return next((code for end in ends if is_python(code := "\n".join(lines[:end]))), None)


def _preamble(question: BenchmarkQuestion) -> str:
    """The imports and helpers that precede the function where the question gives its start."""
    name = re.escape(question.entry_point)
    function = re.search(rf"(?:^@[^\n]*\n)*^(?:async )?def {name}\b", question.start, re.MULTILINE)
    return question.start[: function.start()] if function else ""


def run_tests(code: str, question: BenchmarkQuestion, limits: SandboxLimits = DEFAULT_LIMITS) -> SandboxResult:
    """Run code with the question's tests, which get the question's helpers and never those of the code.

    Raises:
        NoSandbox: no sandbox works on this machine.
    """
    tests = f"{_preamble(question)}\n{question.reference}"
    return run_code(code, tests, limits, CODE_MAY_IMPORT, question.entry_point)


def grade_code(code: str, result: SandboxResult) -> Grade:
    """Grade code that was run with its tests."""
    if result.finished:
        return Grade("right", None, code, "tests")
    reason = "tests_failed" if result.ending == "error" else result.ending
    return Grade("wrong", reason, code, "tests", result.detail[:1000] or None)
