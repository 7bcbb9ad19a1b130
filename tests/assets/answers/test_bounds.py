"""What is read of long texts has a bound, so that no pattern meets more than it can search."""

from assets.answers.check import check_answer
from assets.answers.compare import compare_final
from assets.answers.markup import LONGEST_FINAL, clean
from assets.answers.mentions import SEARCH_AT_MOST, mentions_result
from assets.answers.read import READ_AT_MOST, read_final, stated_answers


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
