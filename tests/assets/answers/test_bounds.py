"""Long and hostile texts: what is read of them has a bound, so that no pattern meets more than it can search."""

import pytest

from assets.answers.check import check_answer
from assets.answers.compare import compare_final
from assets.answers.markup import LONGEST_FINAL, clean
from assets.answers.mentions import SEARCH_AT_MOST, gives_away_result, mentions_result
from assets.answers.read import READ_AT_MOST, read_final, stated_answers

CHARACTERS = 100_000
HOSTILE = [
    *(" ", "\n", ".", "!", "(", "[", "{", "}", "$", "\\", "*", "=", '"', "'\"", "½", "\u202f", "1\u202f"),
    *("1,1", "111,", "1 ", "1/", "1.", "- 1", "1=", "1:", "9^", "9**", "!!", "x = 1 ", "a and b, ", "  1. ", "-- "),
    *("\\(", "\\[", "\\boxed{", "\\boxed{1} and ", "\\text{", "\\frac{1", "####", "#### ", "```", "<<", "[A] "),
    *("answer ", "answer is ", "The answer is 1. ", "final answer: a ", "not but ", "that is ", "then 1", "So, "),
    *(
        "one ",
        "one and ",
        "hundred and ",
        "1 hour ",
        "m^2/",
        "sq ",
        "per ",
        "I hope ",
        "<|a|>",
        "step 1 ",
        "= \\approx",
        "1 \\approx",
        "\\{x|x",
        "\\boxed{1}++++",
        "[1,",
    ),
]


@pytest.mark.parametrize("shape", HOSTILE)
def test_every_reader_accepts_a_hostile_text(shape: str) -> None:
    text = (shape * CHARACTERS)[:CHARACTERS] + "x"
    for domain in ("math", "general"):
        read_final(text, domain)
        assert check_answer(text, "Paris", domain) in ("unknown", "wrong")
        assert compare_final(text, "a b", domain) == "unknown"
        assert compare_final(text[-LONGEST_FINAL:], "a b", domain) != "right"
    stated_answers(text)
    assert not mentions_result(text, "4321")
    gives_away_result(text, "a b", text)


def test_an_answer_is_read_from_the_end_of_a_text() -> None:
    assert read_final("#### 42\n" + " " * READ_AT_MOST, "math") is None
    assert read_final("#### 42\n" + " " * (READ_AT_MOST - 8), "math") == "42"
    assert stated_answers("The answer is 42." + "\n" * READ_AT_MOST) == []
    assert check_answer("The answer is 42." + "\n" * READ_AT_MOST, "42", "math") == "unknown"


def test_a_result_is_searched_at_the_end_of_a_text() -> None:
    assert mentions_result("It is 42." + " " * (SEARCH_AT_MOST - 9), "42")
    assert not mentions_result("It is 42." + " " * SEARCH_AT_MOST, "42")
    assert not mentions_result("a" * (LONGEST_FINAL + 1), "a" * (LONGEST_FINAL + 1))


def test_a_long_answer_is_an_explanation() -> None:
    assert compare_final("42 " + "x" * LONGEST_FINAL, "42", "math") == "unknown"
    assert clean("*" * 5_000 + "42") == "*" * 5_000 + "42"
