"""Reading final answers and comparing them."""

import subprocess
import sys
import threading
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.answers.check import check_answer
from assets.answers.compare import compare_final
from assets.answers.mentions import gives_away_result, mentions_result
from assets.answers.quantities import read_quantity
from assets.answers.read import read_final, stated_answers

MARKED = [
    ("18 + 24 = 42\n#### 42", "42"),
    ("#### 1,250\n", "1,250"),
    (r"So we get $\boxed{42}$.", "42"),
    (r"Hence \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\text{even}}", "even"),
    (r"First \boxed{3}, but then \boxed{4}.", "4"),
    ("The answer is 42.", "42"),
    ("The answer is: 42 apples. I hope this helps!", "42 apples"),
    ("The answer is $4.50.", "$4.50"),
    (r"The final answer is $\boxed{7}$. Done.", "7"),
    ("**Final Answer:** 3/4", "3/4"),
    ("**Final answer**: **Paris**", "Paris"),
    ("### Final Answer\n\n12 km", "12 km"),
    ("The answer to the question is 17, because 8 + 9 = 17.", "17"),
    ("Answer: 25%", "25%"),
    ("The answer is therefore 12", "12"),
    ("The correct option is (B).", "(B)"),
    ("I compared all four. [B]", "B"),
    ("The answer is A. No wait: the final answer is C.", "C"),
    (r"The answer is \(x = 5\).", "x = 5"),
]


@pytest.mark.parametrize(("text", "final"), MARKED)
@pytest.mark.parametrize("domain", ["math", "code", "general"])
def test_a_marked_answer_is_read_in_every_domain(text: str, final: str, domain: str) -> None:
    assert read_final(text, domain) == final


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("42", "42"),
        ("42 apples", "42 apples"),
        ("3 * 14 = 42", "42"),
        ("First 3 * 2 = 6.\nThen 6 * 7 = 42 apples.", "42 apples"),
        ("They had 20 and 8 went. So there are 12 apples left.", "12"),
        ("Therefore, Jungkook is in 3rd place.", "3"),
    ],
)
def test_mathematics_without_a_marker_is_read_where_it_is_safe(text: str, final: str) -> None:
    answer = read_final(text, "math")
    assert answer is not None
    assert compare_final(answer, final, "math") == "right"
    assert read_final(text, "general") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Your answer is wrong.",
        "The answer is not 42.",
        "Therefore the 3 friends get 4 apples each.",
        "There are 12 apples in the first of the baskets.",
        "x = y + z",
        "#### Step 1: read the question\nThen think about it.",
        "The answer is " + "long " * 100,
        r"\boxed{never closed",
    ],
)
def test_nothing_is_read_where_there_is_doubt(text: str) -> None:
    assert read_final(text, "math") is None


@pytest.mark.parametrize("domain", ["code", "general"])
def test_a_code_block_is_not_a_final_answer(domain: str) -> None:
    assert read_final("```python\n# The answer is 42\nprint(42)\n```", domain) is None


RIGHT = [
    ("42", "42"),
    ("42 apples", "42"),
    ("$1,250.00", "1250"),
    ("1 250,", "1\u202f250"),
    ("$42$", "42"),
    (r"\$42", "42 dollars"),
    ("$0.25", "25 cents"),
    ("2 hours", "120 minutes"),
    ("50%", "0.5"),
    ("50 percent", "50"),
    (r"\frac{3}{4}", "0.75"),
    ("1 1/2", "1.5"),
    ("1½", "3/2"),
    ("−5", "-5"),
    ("forty-two", "42"),
    ("$80 000", "80,000"),
    ("2 million", "2,000,000"),
    ("$3.5 million", "3500000"),
    ("a total of 42 apples", "42"),
    ("x = 5", "5"),
    ("3.33", "10/3"),
    ("3rd", "3"),
    (r"42\text{ km}", "42000 m"),
    (r"90^\circ", "90 degrees"),
    ("(B)", "B"),
    ("B) 42", "42"),
    ("Option c", "C"),
    ("Yes, it does", "yes"),
    ("true", "True"),
    ("the Nile", "Nile"),
    ("New York.", "new york"),
    ("[1, 2, 3]", "[1,2,3]"),
]


@pytest.mark.parametrize(("answer", "reference"), RIGHT)
@pytest.mark.parametrize("domain", ["math", "general"])
def test_the_same_answer_in_other_words_is_right(answer: str, reference: str, domain: str) -> None:
    assert compare_final(answer, reference, domain) == "right"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
        ("2x + 2", "2(x + 1)"),
        ("1/2 + 1/4", "3/4"),
        (r"4\pi", "4π"),
        ("2, 3", "3, 2"),
        ("x^2 - 1", "(x-1)(x+1)"),
        ("sqrt(8)", r"2\sqrt{2}"),
    ],
)
def test_formulas_are_compared_by_value(answer: str, reference: str) -> None:
    assert compare_final(answer, reference, "math") == "right"


WRONG = [
    ("41", "42"),
    ("-5", "5"),
    ("42", "4.2"),
    ("5 km", "5 m"),
    ("12.54", "12.5 apples"),
    ("A", "B"),
    ("(A) 42", "(B) 42"),
    ("no", "yes"),
    ("London", "Paris"),
    ("3/4", "4/3"),
]


@pytest.mark.parametrize(("answer", "reference"), WRONG)
def test_another_answer_is_never_right(answer: str, reference: str) -> None:
    assert compare_final(answer, reference, "math") != "right"


@pytest.mark.parametrize(("answer", "reference"), [pair for pair in WRONG if pair[0] != "12.54"])
def test_another_answer_is_wrong(answer: str, reference: str) -> None:
    assert compare_final(answer, reference, "general") == "wrong"


def test_another_formula_is_wrong() -> None:
    assert compare_final("2x + 3", "2(x + 1)", "math") == "wrong"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (None, "42"),
        ("42", None),
        ("", "42"),
        ("42", "B"),
        ("not enough information", "42"),
        ("12.54", "12.5"),
        ("5x", "5"),
        ("a long sentence that says one thing", "another one that may well say the same"),
    ],
)
def test_what_cannot_be_compared_is_unknown(answer: str | None, reference: str | None) -> None:
    assert compare_final(answer, reference, "general") == "unknown"


@pytest.mark.parametrize(
    "formula",
    [
        "9^{9^{9^9}}",
        "9**9**9",
        "(10^{9})!",
        "2^{1000000}",
        r"\sum_{i=1}^{10^9} i",
        "(x+1)^{9999}",
        "1" * 150 + "+ x",
        "((((" * 40,
        "1e99999999",
    ],
)
def test_a_formula_that_could_take_long_is_not_evaluated(formula: str) -> None:
    assert compare_final(formula, "x + 1", "math") == "unknown"


def test_formulas_can_be_compared_in_any_thread() -> None:
    verdicts: list[str] = []
    thread = threading.Thread(target=lambda: verdicts.append(compare_final("3x + x", "4x", "math")))
    thread.start()
    thread.join()
    assert verdicts == ["right"]


def test_plain_numbers_need_no_heavy_library() -> None:
    program = (
        "import sys; from assets.answers.check import check_answer; "
        "assert check_answer('So there are 42 apples.', '42', 'math') == 'right'; "
        "from assets.answers import formula_pool; "
        "assert not {'sympy', 'math_verify'} & set(sys.modules) and not formula_pool._pool.idle"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_math_verify_stays_out_of_this_process() -> None:
    program = (
        "import signal, sys; from assets.answers.compare import compare_final; "
        "assert compare_final('x + x', '2x', 'math') == 'right'; "
        "assert not {'sympy', 'math_verify'} & set(sys.modules); "
        "assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


NUMBERS = st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False)


@settings(deadline=None)
@given(NUMBERS)
def test_a_number_is_the_same_with_thousands_separators_currency_and_unit(number: object) -> None:
    plain, written = f"{number}", f"{number:,}"
    for variant in (written, f"{written} apples", f"**{written}**.", f"${written}$", rf"\({written}\)"):
        assert compare_final(variant, plain, "math") == "right"


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(1, 1000))
def test_a_fraction_is_read_exactly(above: int, below: int) -> None:
    for written in (f"{above}/{below}", f"{'-' if above < 0 else ''}\\frac{{{abs(above)}}}{{{below}}}"):
        quantity = read_quantity(written)
        assert quantity is not None
        assert quantity.number == Fraction(above, below)


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_whole_numbers_are_right_exactly_when_equal(left: int, right: int) -> None:
    assert compare_final(str(left), str(right), "math") == ("right" if left == right else "wrong")


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=60), st.sampled_from(["code", "general"]))
def test_any_text_gets_a_verdict(text: str, reference: str, domain: str) -> None:
    assert check_answer(text, reference, domain) in ("right", "wrong", "unknown")
    assert mentions_result(text, reference) in (True, False)


@settings(deadline=None)
@given(st.text(alphabet="0123456789xy+-*/^(){}=.,\\ fracsqrt", max_size=40))
def test_any_formula_gets_a_verdict(formula: str) -> None:
    assert compare_final(formula, "x + 1", "math") in ("right", "wrong", "unknown")


def test_ten_million_characters_are_read_without_delay() -> None:
    assert read_final("answer: " * 1_250_000 + "\n#### 42", "math") == "42"


@pytest.mark.parametrize(
    ("text", "reference", "verdict"),
    [
        ("20 - 8 = 12. So there are 12 apples left.", "12", "right"),
        ("Tom has 12 apples.", "12", "right"),
        ("So it takes 10 * 30 = <<10*30=300>>300 minutes to run 30 miles.", "300", "right"),
        ("Tom ate 8 of 20, so he has 13 apples.", "12", "wrong"),
        ("He has 12 apples left after eating 8.", "12", "unknown"),
        ("He has 13 apples left after eating 8.", "12", "wrong"),
        ("I think 12. The answer is 13.", "12", "wrong"),
        ("I do not know.", "12", "unknown"),
        ("It is x + x.", "2x", "right"),
        ("Twelve it is.", None, "unknown"),
    ],
)
def test_a_students_result_in_mathematics_needs_no_marker(text: str, reference: str | None, verdict: str) -> None:
    assert check_answer(text, reference, "math") == verdict


@pytest.mark.parametrize(
    ("text", "reference", "verdict"),
    [
        ("Paris.", "Paris", "right"),
        ("B", "B", "right"),
        ("There are 7 days in a week, and 12 months in a year.", "12", "unknown"),
        ("The answer is London.", "Paris", "wrong"),
        ("```python\nprint(12)\n```", "12", "unknown"),
    ],
)
def test_elsewhere_only_a_marker_or_a_bare_answer_counts(text: str, reference: str, verdict: str) -> None:
    assert check_answer(text, reference, "general") == verdict


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("You should get 1250 in the end.", "1,250"),
        ("It is 12.", "12 apples"),
        ("That makes $12 in all", "12"),
        ("There are twelve of them.", "12"),
        ("The half is 3/4 here.", r"\frac{3}{4}"),
        ("The answer is B.", "B"),
        ("Look at (B) again.", "B"),
        ("Think of the Nile river.", "the Nile river"),
    ],
)
def test_a_stated_result_is_noticed(text: str, reference: str) -> None:
    assert mentions_result(text, reference)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("There were 112 of them, 12.5 each, at 12:30.", "12"),
        ("1. Read.\n2. Add.\nStep 2: check", "2"),
        ("One way is to add.", "1"),
        ("A good start. Be careful.", "B"),
        ("Parisian life", "Paris"),
        ("Anything", None),
        ("Anything", "..."),
    ],
)
def test_what_only_looks_like_the_result_is_not_it(text: str, reference: str | None) -> None:
    assert not mentions_result(text, reference)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We add. The answer is 7. So my final answer is 8.", ["7", "8"]),
        ("Anna says that the answer is 6, but that is wrong. The answer is 8.", ["8"]),
        ("The answer is right, but the steps are missing.", []),
        ("The correct answer is Earth.\nThe answer is Earth.", ["Earth", "Earth"]),
        ("Think about which answer is bigger.", []),
        ("The final answer is too small: a single row already has 8 pens.", []),
        ("The answer should be a whole number.", []),
    ],
)
def test_only_answers_that_the_speaker_states_are_found(text: str, expected: list[str]) -> None:
    assert stated_answers(text) == expected


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("The answer is 25.", "", True),
        ("Count on until you are at 7.", "", True),
        ("Count on until you are at 7.", "I get 7.", False),
        ("Your answer is right, now write the steps.", "", False),
        ("Read it again: the right choice is the other one.", "Is it 7 or 9?", True),
        ("No. The other option is correct.", "Is it 7 or 9?", True),
        ("Please pick the other answer.", "Is it 7 or 9?", True),
        ("Ask yourself whether the other option is right.", "Is it 7 or 9?", False),
        ("One step is wrong, the other one is correct.", "Is it 7 or 9?", False),
        ("The other option is correct.", "(A) 7 (B) 9 (C) 11", False),
    ],
)
def test_a_teacher_gives_a_result_away_by_stating_or_first_naming_it(text: str, known: str, expected: bool) -> None:
    assert gives_away_result(text, "7", known) is expected
