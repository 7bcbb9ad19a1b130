"""Whether two final answers are the same: right, wrong, or unknown where no rule can decide."""

import math
import re
from fractions import Fraction
from typing import Literal

from assets.answers.formulas import equal_formulas
from assets.answers.markup import LONGEST_FINAL, TEXT_COMMAND, clean
from assets.answers.quantities import Quantity, numbers_in, plain_numbers, read_quantity

Verdict = Literal["right", "wrong", "unknown"]

_BARE_LABEL = re.compile(r"([A-J])|[\[(]([A-Ja-j])[\])]|([A-J])[).:]|(?:[Oo]ption|[Cc]hoice)\s+[\[(]?([A-Ja-j])[\])]?")
_LABELLED = re.compile(r"(?:[\[(]([A-Ja-j])[\])]|([A-J])[).:])\s+(\S.*)", re.DOTALL)
_ASSIGNMENT = re.compile(r"\s*[A-Za-z](?:_\{?\w\}?)?\s*=\s*([^=]+)")
_YES = {"yes": True, "true": True, "no": False, "false": False}
_WORD = re.compile(r"\w+(?:[.:/'-]\w+)*")
SHORT_TEXT = 3  # words up to which two texts without a word in common are two different answers
_CLOSE = Fraction(1, 100)


def compare_final(given: str | None, reference: str | None, domain: str) -> Verdict:
    """Whether a final answer is the reference's.

    Numbers are compared by value: units may be missing or worded differently, known measures are converted (25 cents,
    $0.25), a percentage may stand as its number or its hundredth, and a decimal may be the other rounded to at least
    two places. Labels of options and yes/no are compared as such, formulas by math-verify (in mathematics). Other text
    is right if it is the same but for case, articles and punctuation, wrong if both are short and share no word.

    Returns:
        `unknown` where either is missing, where one is a label and the other is not, where a formula is too large or
        unusual to be compared safely, where numbers are close but not equal by rounding, and for other longer text.
    """
    given, reference = clean(given or ""), clean(reference or "")
    if not given or not reference:
        return "unknown"
    if _same_text(given, reference):
        return "right"
    if max(len(given), len(reference)) > LONGEST_FINAL:
        return "unknown"
    given_label, given_content = option_label(given)
    reference_label, reference_content = option_label(reference)
    if reference_label and given_label:
        return _verdict(given_label == reference_label)
    if reference_label or given_label:
        if not (given_content and reference_content):
            return "unknown"
        given, reference = given_content, reference_content
    if _yes(reference) is not None:
        return _verdict(_yes(given) == _yes(reference)) if _yes(given) is not None else "unknown"
    return _compare_values(given, reference, domain)


def _compare_values(given: str, reference: str, domain: str) -> Verdict:
    if ("=" in given) != ("=" in reference):
        given, reference = right_side(given), right_side(reference)
    expected = read_quantity(reference)
    if expected:
        found = read_quantity(given) or _only_quantity(given)
        if found:
            return _compare_quantities(found, expected)
    if domain == "math":
        symbolic = _compare_symbolic(given, reference)
        if symbolic != "unknown":
            return symbolic
    if expected:
        return "unknown"
    if _same_text(given, reference):
        return "right"
    different = set(_words(given)).isdisjoint(_words(reference))
    short = max(len(_words(given)), len(_words(reference))) <= SHORT_TEXT
    plain = not any("\\" in text or _operators(text) for text in (given, reference))
    return "wrong" if different and short and plain and _words(given) and _words(reference) else "unknown"


def _verdict(equal: bool) -> Verdict:
    return "right" if equal else "wrong"


def option_label(answer: str) -> tuple[str | None, str]:
    """The option's label, and the content beside it: `(B) 42` -> ("B", "42"); without a label (None, answer)."""
    bare = _BARE_LABEL.fullmatch(answer)
    if bare:
        return next(group for group in bare.groups() if group).upper(), ""
    labelled = _LABELLED.fullmatch(answer)
    if labelled:
        return (labelled[1] or labelled[2]).upper(), labelled[3]
    return None, answer


def _yes(answer: str) -> bool | None:
    first = re.match(r"[A-Za-z]+(?=,|\Z)", answer)
    return _YES.get(first[0].casefold()) if first else None


def right_side(answer: str) -> str:
    assignment = _ASSIGNMENT.fullmatch(answer)
    if assignment:
        return assignment[1].strip()
    _, equals, right_side = answer.rpartition("=")
    return right_side.strip() if equals and read_quantity(right_side) else answer


def _only_quantity(answer: str) -> Quantity | None:
    """The one number of a phrase, "a total of 42 apples"; not of a formula."""
    plain = plain_numbers(answer)
    if "\\" in plain or re.search(r"[+*^=<>(){}]", plain):
        return None
    found = list(numbers_in(plain))
    if len(found) != 1:
        return None
    start = plain.find(found[0][1])
    before = plain[:start].rstrip()
    return read_quantity((before[-1] if before.endswith(("$", "€", "£", "¥", "₹")) else "") + plain[start:])


def _compare_quantities(given: Quantity, expected: Quantity) -> Verdict:
    left, right = given.number, expected.number
    if given.measure and expected.measure and given.unit != expected.unit:
        if given.measure[0] != expected.measure[0]:
            return "unknown" if left == right else "wrong"
        return _compare_numbers(left * given.measure[1], None, right * expected.measure[1], None)
    if (given.unit == "%") != (expected.unit == "%"):
        hundredths = left / 100 if given.unit == "%" else left * 100
        if hundredths == right:
            return "right"
    return _compare_numbers(left, given.decimals, right, expected.decimals)


def _compare_numbers(left: Fraction, left_decimals: int | None, right: Fraction, right_decimals: int | None) -> Verdict:
    if left == right:
        return "right"
    written = [decimals for decimals in (left_decimals, right_decimals) if decimals is not None]
    close = abs(left - right) <= _CLOSE * max(abs(left), abs(right))
    if not close or 0 in written:
        return "wrong"
    if written and min(written) >= 2 and abs(left - right) <= Fraction(1, 2 * 10 ** min(written)):
        return "right"
    return "unknown"


def _same_text(left: str, right: str) -> bool:
    """Equal but for case, articles, punctuation and spaces; signs that change the sense count."""
    return _words(left) == _words(right) != [] and _operators(left) == _operators(right)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if word not in ("a", "an", "the")]


def _operators(text: str) -> str:
    """The signs that change what a text says: `-5` is not `5`, `x > 3` is not `x < 3`."""
    return "".join(re.findall(r"[-+*^<>=≤≥√\[\]{}]|(?<![\w])/", re.sub(r"(?<=[a-z])-(?=[a-z])", "", text.casefold())))


# -- formulas ----------------------------------------------------------------------------------------------------------

_LONGEST_FORMULA = 80
_LARGEST_POWER = 40
_FUNCTION = re.compile(r"\\(?:ln|log|sin|cos|tan)\b")
_LARGEST_POWER_WITH_FUNCTIONS = 4
_HARMLESS = (
    "frac dfrac tfrac sqrt pi cdot times div left right pm infty ln log sin cos tan le leq ge geq lt gt neq in cup cap "
    "theta alpha beta degree circ text mathrm { } , ; ! %"
)
_COMMANDS = {*_HARMLESS.split(), " "}
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_EXPONENT = re.compile(r"(?:\^|\*\*)\s*(\{[^{}]*\}|\([^()]*\)|-?\w+|\S)")
_TOWER = re.compile(r"\^\s*(?:\{[^{}]*\}|-?\w+)\s*\^")


def _symbolic_text(answer: str) -> str | None:
    """The answer as LaTeX that may be given to the symbolic engine, or None.

    What would only use up its time limit never reaches it: formulas of more than 80 characters, numbers of more than
    15 digits, exponents other than numbers and single variables, or with a product above 40 (4 beside more than one
    function or a variable exponent), factorials, sums, integrals and words.
    """
    formula = TEXT_COMMAND.sub("", answer) if not TEXT_COMMAND.fullmatch(answer) else answer
    formula = formula.replace("**", "^").replace("\u2212", "-").replace("π", r"\pi ").replace("·", r"\cdot ")
    formula = re.sub(r"(?<!\\)\b(sqrt|pi)\b", r"\\\1", formula)
    formula = re.sub(r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", formula)
    if len(formula) > _LONGEST_FORMULA or not re.search(r"[\d\\+*/^=<>]", formula):
        return None
    if any(command not in _COMMANDS for command in _COMMAND.findall(formula)):
        return None
    bare = _COMMAND.sub(" ", formula)
    if _LETTERS.search(bare) or re.search(r"\d{16,}|\d[eE]\d|[!#&@~`|?\"]", bare):
        return None
    exponents = [exponent.strip("{}() ") for exponent in _EXPONENT.findall(formula)]
    if not all(re.fullmatch(r"-?\d{1,2}(/\d{1,2})?|-?[A-Za-z]|\\circ", exponent) for exponent in exponents):
        return None
    if _TOWER.search(formula):
        return None
    # Powers of powers multiply, and their value has as many digits.
    sizes = (int(number) for exponent in exponents for number in re.findall(r"\d+", exponent))
    functions = len(_FUNCTION.findall(formula)) + sum(exponent.strip("-").isalpha() for exponent in exponents)
    largest = _LARGEST_POWER if functions <= 1 else _LARGEST_POWER_WITH_FUNCTIONS
    if functions > 3 or math.prod(max(size, 1) for size in sizes) > largest:
        return None
    return formula


def _compare_symbolic(given: str, reference: str) -> Verdict:
    left, right = _symbolic_text(given), _symbolic_text(reference)
    equal = equal_formulas(left, right) if left and right else None
    return "unknown" if equal is None else _verdict(equal)
