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
    ("USD 3.50", "$3.5", "math"),
    ("$15 per hour", "$15/hour", "math"),
    ("30 miles per gallon", "30 mpg", "math"),
    ("10 N", "10 newtons", "math"),
    ("25 °C", "77 °F", "math"),
    ("2 acres", "8093.7128448 m²", "math"),
    # numbers
    ("12\u202f011", "12011", "math"),
    ("12\u00a0011", "12,011", "math"),
    ("12 011", "12011", "math"),
    ("٤٢", "42", "math"),
    ("7" * 300, f"{'7' * 300}", "math"),
    ("9" * 190, "9" * 190 + ".0", "math"),
    ("one and a half", "1.5", "math"),
    ("2 and a half hours", "150 minutes", "math"),
    ("33.3%", "1/3", "math"),
    ("2,74 €", "2.74", "math"),
    ("3 hundred", "300", "math"),
    ("10^6", "1 million", "math"),
    ("30 degrees", r"\frac{\pi}{6}", "math"),
    ("5th", "5", "math"),
    ("8–9", "8-9", "math"),
    ("two hundred and five", "205", "math"),
    ("6.02 × 10^{23}", "6.02e23", "math"),
    ("66.7%", "66.67%", "math"),
    ("5!", "120", "math"),
    ("12 (the twelfth day)", "12", "math"),
    ("1000,5", "1000.5", "math"),
    # ratios, lists, points, names
    ("4 to 6", "2:3", "math"),
    ("a ratio of 2:1", "2 to 1", "math"),
    ("x < 2 or x > 5", r"(-\infty, 2) \cup (5, \infty)", "math"),
    ("|x| < 3", "-3 < x < 3", "math"),
    (r"\boxed{3} and \boxed{5}", "5, 3", "math"),
    (r"4\pi\text{ m}^2", "4π square meters", "math"),
    ("10C3", "120", "math"),
    ("2ab", "2ba", "math"),
    ("p - q", "-q + p", "math"),
    (r"0.1\overline{6}", "1/6", "math"),
    (r"\$10,\!000", "10000", "math"),
    (r"\frac{3 \pm \sqrt{5}}{2}", r"\frac{3 + \sqrt{5}}{2}, \frac{3 - \sqrt{5}}{2}", "math"),
    ("2^{2024}", "4^{1012}", "math"),
    (r"2 \pmod{5}", "2", "math"),
    (r"\frac{5}{7}\text{ boxes}", "5/7", "math"),
    (r"\text{(B) }42", "B", "math"),
    ("3.14", r"\pi", "math"),
    (r"\varnothing", r"\emptyset", "math"),
    (r"$\{x \mid x > 2\}$", r"$(2, \infty)$", "math"),
    (r"$x \in \{1, 2\}$", "$x = 1$ or $x = 2$", "math"),
    (r"$\{(1, 2)\}$", "$(1, 2)$", "math"),
    ("$f(3) = 7$", "7", "math"),
    (r"$\frac{dy}{dx} = 2x$", "2x", "math"),
    ("C(5,2)", "10", "math"),
    ("5! ", "120", "math"),
    (r"$\$1,000.99$", "1000.99", "math"),
    (r"$\$7$ million", "7 million dollars", "math"),
    (r"2\pi \approx 6.28", r"2\pi", "math"),
    (r"$\textbf{(D)}\ 7$", "7", "math"),
    (r"$6:00\text{ PM}$", "6:00 PM", "math"),
    (r"$\boxed{35 cm} ++++ \boxed{4}$", "{35 cm, 4}", "math"),
    (r"\[ \boxed{[-2, 7]} \]$", "[-2, 7]", "math"),
    (r"\large 7", "7", "math"),
    ("red and blue", "red, blue", "general"),
    ("x = 1 or x = -1", r"\pm 1", "math"),
    ("y = 7, x = 2", "x=2, y=7", "math"),
    ("x=2, y=7", "(2, 7)", "math"),
    ("Ann: 4, Ben: 9", "4 and 9", "math"),
    ("2 cats and 3 dogs", "3 dogs and 2 cats", "math"),
    (r"\{1, 4\}", "4, 1", "math"),
    ("there are no solutions", "no solution", "math"),
    # times and dates
    ("5:30 pm", "17:30", "general"),
    ("half past three", "3:30", "general"),
    ("a quarter to five", "4:45", "general"),
    ("the 4th of July", "July 4", "general"),
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
    ("3 acres", "3 hectares", "math"),
    ("20 °C", "20 °F", "math"),
    ("8" * 300, "8" * 299 + "9", "math"),
    ("x < 3", "y < 3", "math"),
    ("March 2021", "April 2021", "general"),
    ("44 BC", "44 AD", "general"),
    ("A", "A and B", "general"),
    ("30 degrees", "30 radians", "math"),
    ("2ab", "2", "math"),
    ("5 m/s", "5 km/h", "math"),
    ("$30", "€30", "math"),
    ("10 cm", "10 cm²", "math"),
    ("12 dollars profit", "12 dollars loss", "math"),
    ("3:2", "2:3", "math"),
    ("x = 3", "x = 3 or x = 4", "math"),
    ("1", "[0, 1)", "math"),
    ("1", "-(0, 1]", "math"),
    (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "math"),
    ("f(x) = x + 1", "f(x) = x - 1", "math"),
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
    ("33%", "1/3", "math"),
    ("at least 5", "5", "math"),
    ("5 or more", "5", "math"),
    ("5-6", "5", "math"),
    ("5 teachers", "5 students", "math"),
    ("5 km", "5 laps", "math"),
    ("a loss of 20", "-20", "math"),
    ("101_2", "5", "math"),
    ("0x1F", "31", "math"),
    ("Ann and Ben", "Ann", "math"),
    ("Shakespear", "Shakespeare", "general"),
    ("1024 KB", "1 MB", "math"),
    ("1.2k", "1200", "math"),
    ("the 1990s", "1990", "general"),
    ("x^2 + C", "x^2", "math"),
    (r"\ln(x^2)", r"2\ln x", "math"),
    ("York", "New York", "general"),
    ("July 1969", "July 20, 1969", "general"),
    ("not Rome", "Rome", "general"),
    ("f(x) = x + 1", "f(t) = t + 1", "math"),  # names of arguments
    ("g(2)", "5", "math"),
    (r"\frac{3\,\mathrm{km}}{2}", "2", "math"),
    (r"1 - \frac{1}{\mathrm{e}}", r"1 + \frac{1}{\mathrm{e}}", "math"),
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
        (r"So $\boxed{2}$ or $\boxed{3}$.", "math", "2, 3"),
        (r"We pay \boxed{20} percent.", "math", "20 percent"),
        (r"First \boxed{3}, but then \boxed{4}.", "math", "4"),
        ("The final answer is:\n$$\n42\n$$", "math", "42"),
        ("Final Answer: Jane started to grow roses 3 hours ago.", "math", "3 hours"),
        ("Therefore $x > 5$ is the solution.", "math", "x > 5"),
        ("Thus, the pair is $(7, 6)$. I hope this helps!", "math", "(7, 6)"),
        ("$2x + y = 0$", "math", "2x + y = 0"),
        ("The line is 2x + y = 0", "math", None),
        ("So x <= 2", "math", None),
        ("Thus, x = 3 and y = 4.", "math", "x = 3 and y = 4"),
        ("The solutions are $x = 1$ and $x = 2$.", "math", "x = 1 and x = 2"),
        ("$4!$", "math", "4!"),
        ("Thus the area is 36π cm².", "math", None),
        ("The correct answer is 7, not 8.", "math", "7"),
        ("The answer is 0.5, i.e. 50%.", "math", "0.5"),
        ("A good answer is concise and polite.", "general", None),
        ("If the answer is 7: go on", "general", None),
        ("The answer is that nobody knows.", "general", None),
        ("a) The answer is 3.\nb) The answer is 5.", "general", None),
    ],
)
def test_a_final_answer_is_read_only_where_it_is_certain(text: str, domain: str, final: str | None) -> None:
    assert read_final(text, domain) == final


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("My answer was 20 because I added. The answer is 24.", ["24"]),
        ("Your answer is 20, which leaves out the rest.", []),
        ("Earlier I wrote: the answer is 20. The answer is 24.", ["24"]),
        ("Your answer is complete and well explained.", []),
        ("The correct answer should be larger than 90.", []),
    ],
)
def test_what_is_said_about_an_answer_states_none(text: str, stated: list[str]) -> None:
    assert stated_answers(text) == stated
