"""Signals of single texts: copying, mentions of the reference, code, secrets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.dialogues.repetition import repeated_share
from assets.quality.code_blocks import code_parses, python_blocks
from assets.quality.copying import copied_share, covered_indexes, runs
from assets.quality.reference_leaks import reference_mentions
from assets.quality.secrets_scan import count_secrets
from tests.assets.quality.samples import MARBLES, make_dialogue

A = "First I take the twelve marbles, then I take away five of them, so seven marbles are left."
OWN = "My way is another one: counting back from a dozen, one marble at a time, I stop at number seven."
ASKED = MARBLES.text


@pytest.mark.parametrize(
    ("scenario", "texts", "least", "most"),
    [
        ("debate", ("q", A, A, "c"), 1.0, 1.0),
        ("debate", ("q", A, OWN, "c"), 0.0, 0.0),
        ("debate", ("q", A, f"{A} {OWN}", "c"), 0.3, 0.7),
        ("debate", ("q", A, OWN, f"Student A was right. {A}"), 0.0, 0.0),
        ("debate", (ASKED, f"{ASKED} I say 7.", f"{ASKED} I say 8.", "c"), 0.0, 0.0),
        ("error_correction", ("q", A, "b", A), 0.0, 0.0),
    ],
    ids=["the same", "own words", "half", "the closer sums up", "the question", "error correction"],
)
def test_only_a_debater_can_copy(scenario: str, texts: tuple[str, ...], least: float, most: float) -> None:
    assert least <= copied_share(make_dialogue(scenario, *texts)) <= most


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_no_more_is_covered_or_repeated_than_there_is(one: list[str], other: list[str]) -> None:
    assert covered_indexes(one, runs(other, 3), 3) <= set(range(len(one)))
    assert 0 <= repeated_share(one, 3) <= 1


@pytest.mark.parametrize(
    ("text", "by_reviewer", "mentions"),
    [
        ("The solution I was given says that it is 7.", False, True),
        ("As the correct solution shows, we add first.", False, True),
        ("The given answer is 7, so I miscounted.", False, True),
        ("The final answer, which agrees with my notes, is 7.", False, True),
        ("The standard solution is to guard it with a mutex.", False, False),
        ("The official answer of the team is to wait.", False, False),
        ("According to the notes in the passage, Tom was late.", False, False),
        ("The given solution of the equation is x = 3.", False, False),
        ("As the answer shows, both methods agree.", False, False),
        ("According to the reference answer, it is 7.", False, True),
        ("This matches the standard solution.", False, True),
        ("The answer key says 7.", False, True),
        ("Based on the provided solution, it is 7.", False, True),
        ("My notes say that it is 7.", False, True),
        ("As shown in the notes, according to my notes, it is 7.", False, True),
        ("I was given the answer, 7.", False, True),
        ("The reference answer is another.", True, True),
        ("The provided solution is wrong.", True, False),  # a teacher may mean the student's
        ("I agree with student A's answer.", False, False),
        ("My answer is 7, and the solution is simple.", False, False),
        ("The given answer choices are A and B.", False, False),
        ("Based on the given numbers, it is 7.", False, False),
        ("The musician notes say C and D.", False, False),
        ("Take notes of each step.", False, False),
        ("I refer to the question.", False, False),
    ],
)
def test_phrases_that_mention_the_reference_are_found(text: str, by_reviewer: bool, mentions: bool) -> None:
    assert bool(reference_mentions(text, by_reviewer=by_reviewer)) is mentions


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
    """A pattern that backtracks would take many seconds."""
    assert python_blocks(line) == []


@given(st.text(alphabet="`py\n :(x)", max_size=80))
def test_any_text_has_its_blocks(text: str) -> None:
    assert all(isinstance(block, str) for block in python_blocks(text))


@pytest.mark.parametrize(
    ("text", "has_secret"),
    [
        ("key = AKIAIOSFODNN7EXAMPLE", True),
        ("api_key = 'd8f7a6s5d4f3g2h1j0k9l8'", True),
        ("-----BEGIN RSA PRIVATE KEY-----", True),
        ("git clone https://x:" + "ghp_" + "a1B2" * 9 + "@host/repo", True),
        ("password = 'secret'", False),
        ("def check(password): return password == 'hunter2'", False),
        ("postgres://user:password@localhost/db", False),
        ("The hash is da39a3ee5e6b4b0d3255bfef95601890afd80709.", False),
        ("The server is 8.8.8.8 and the result is 12.", False),
        ("", False),
    ],
)
def test_keys_are_secrets_and_examples_are_not(text: str, has_secret: bool) -> None:
    assert (count_secrets(text) > 0) is has_secret
