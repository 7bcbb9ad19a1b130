"""Final answers of each kind, compared."""

import pytest

from assets.answers.compare import compare_final
from assets.answers.quantities import read_quantity
from assets.answers.read import read_final, stated_answers
from assets.answers.units import read_unit

RIGHT = [
    # units, currencies, durations in parts
    ("90 minutes", "1 hour 30 minutes", "math"),
    ("3 hours and 15 minutes", "3.25 hours", "math"),
    ("36 km/h", "10 m/s", "math"),
    ("60 miles per hour", "60 mph", "math"),
    ("15 square meters", "15 m^2", "math"),
    ("2 liters", "2000 ml", "math"),
    ("40 sq ft", "40 ft²", "math"),
    ("quarter of an hour", "15 minutes", "math"),
    ("5 pounds", "£5", "math"),
    # numbers
    ("two hundred and five", "205", "math"),
    ("6.02 × 10^{23}", "6.02e23", "math"),
    ("66.7%", "66.67%", "math"),
    ("5!", "120", "math"),
    ("12 (the twelfth day)", "12", "math"),
    ("1000,5", "1000.5", "math"),
    # ratios, lists, points, names
    ("4 to 6", "2:3", "math"),
    ("x = 1 or x = -1", r"\pm 1", "math"),
    ("y = 7, x = 2", "x=2, y=7", "math"),
    ("x=2, y=7", "(2, 7)", "math"),
    ("Ann: 4, Ben: 9", "4 and 9", "math"),
    ("2 cats and 3 dogs", "3 dogs and 2 cats", "math"),
    (r"\{1, 4\}", "4, 1", "math"),
    ("there are no solutions", "no solution", "math"),
    # times and dates
    ("5:30 pm", "17:30", "general"),
    ("noon", "12:00 PM", "general"),
    ("July 4, 1776", "4 July 1776", "general"),
    ("1776-07-04", "July 4th, 1776", "general"),
    # labels, code, names
    ("B, D", "B and D", "general"),
    ("C, the nucleus", "C", "general"),
    ('say("x")', "say('x')", "code"),
    ("O(N)", "O(n)", "code"),
    ("Rome", "the city of Rome", "general"),
    ("UN", "UN", "general"),
    ("WHO", "World Health Organization", "general"),
]
WRONG = [
    ("5 m/s", "5 km/h", "math"),
    ("$30", "€30", "math"),
    ("10 cm", "10 cm²", "math"),
    ("12 dollars profit", "12 dollars loss", "math"),
    ("3:2", "2:3", "math"),
    ("x = 3", "x = 3 or x = 4", "math"),
    ("(1, 2)", "(2, 1)", "math"),
    ("infinitely many solutions", "no solution", "math"),
    ("7:15 am", "7:15 pm", "general"),
    ("May 3, 2020", "May 4, 2020", "general"),
    ("A and B", "A and C", "general"),
    ("x != 0", "x == 0", "code"),
    ("rm -r build", "rm -f build", "code"),
    ("++n", "n++", "code"),
    ("O(1)", "O(n)", "code"),
    ("increasing", "decreasing", "general"),
    ("Madrid", "Lisbon", "general"),
]
UNKNOWN = [
    ("salt", "NaCl", "general"),  # synonyms are for the judge
    ("autumn", "fall", "general"),
    ("1 year", "365 days", "math"),  # how many days a year has is not said
    ("a dozen", "12", "math"),
    ("1776", "July 4, 1776", "general"),
    ("8:15", "8:15 pm", "general"),
    ("not possible", "impossible", "general"),
    ("a == b", "b == a", "code"),
    ("7.07", "7.1", "math"),
    ("not Rome", "Rome", "general"),
]


@pytest.mark.parametrize(
    ("given", "reference", "domain", "expected"),
    [
        (*pair, verdict)
        for verdict, pairs in (("right", RIGHT), ("wrong", WRONG), ("unknown", UNKNOWN))
        for pair in pairs
    ],
)
def test_two_answers_compare(given: str, reference: str, domain: str, expected: str) -> None:
    assert compare_final(given, reference, domain) == expected
    assert compare_final(reference, given, domain) == expected


@pytest.mark.parametrize(
    ("text", "rest"),
    [("km/h", ""), ("in total", "in total"), ("cats", "cats"), ("sq. m of floor", "of floor"), ("", "")],
)
def test_a_unit_is_read_up_to_the_words_that_are_none(text: str, rest: str) -> None:
    assert read_unit(text)[1] == rest


@pytest.mark.parametrize("text", ["5x", "5 to 7", "3 cats and 4 dogs", "1 hour 2 hours", "about", "7 - 2"])
def test_what_is_no_single_quantity_is_none(text: str) -> None:
    assert read_quantity(text) is None


@pytest.mark.parametrize(
    ("text", "domain", "final"),
    [
        ("So the area is 30 cm^2.", "math", "30 cm^2"),
        ("In total, he spent $7.25.", "math", "$7.25"),
        ("So he cannot buy the kite that costs 9 dollars.", "math", None),
        ("Therefore, each of the 4 children gets half a cake.", "math", None),
        ("Thus they won twice as often as in 2018.", "math", None),
        ("The answer is not 24 but 25.", "math", "25"),
        ("Hence the answer is 12 (b).", "math", "12"),
        ("The answer is kept in a variable named total.", "code", None),
        ("The answer is usually a single word.", "general", None),
        ("My answer is similar to the one above.", "code", None),
        ("The answer: https://example.org/q/1", "code", None),
        ("1. Answer: A\n2. Answer: D", "general", None),
        ("Step 1: add. The answer is 3. Step 2: square it, which gives 9.", "general", None),
        ("The answer is Alfred.", "general", "Alfred"),
    ],
)
def test_a_final_answer_is_read_only_where_it_is_certain(text: str, domain: str, final: str | None) -> None:
    assert read_final(text, domain) == final


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("My answer was 20 because I added. The answer is 24.", ["24"]),
        ("Your answer is 20, which leaves out the rest.", []),
        ("Your answer is complete and well explained.", []),
        ("The correct answer should be larger than 90.", []),
    ],
)
def test_what_is_said_about_an_answer_states_none(text: str, stated: list[str]) -> None:
    assert stated_answers(text) == stated


@pytest.mark.parametrize(
    "hostile",
    [
        "The answer is " * 3_000,
        "then " * 20_000,
        "1,2" * 15_000,
        "one " * 20_000,
        "(" * 50_000,
        "x = " * 20_000,
        "=9" * 30_000,
    ],
)
def test_hostile_texts_have_no_answer_and_do_not_hold_up_the_reader(hostile: str) -> None:
    for domain in ("math", "code", "general"):
        read_final(hostile, domain)
        assert compare_final(hostile, "12", domain) == "unknown"
    assert stated_answers(hostile) == []
