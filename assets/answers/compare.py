"""Whether two final answers are the same: right, wrong, or unknown where no rule can decide.

Each kind of answer has its own comparison; the first that understands both sides decides. Formulas, lists and intervals
go to math-verify (`formulas.py`), what is left to tokens in code and to words elsewhere (`texts.py`).
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from assets.answers.boxes import without_words
from assets.answers.compare_numbers import compare_quantities
from assets.answers.formulas import compare_as_formulas, formula, quantity_as_formula
from assets.answers.markup import LONGEST_FINAL, TEXT_COMMAND, clean
from assets.answers.quantities import Quantity, currency_before, numbers_in, plain_numbers, read_quantity
from assets.answers.texts import (
    bounded,
    compare_code,
    compare_growth,
    compare_texts,
    looks_like_code,
    negated,
    same_text,
)
from assets.answers.values import (
    Items,
    clock_time,
    date,
    named_value,
    number_of_solutions,
    option_label,
    option_labels,
    ratio,
    read_items,
    truth,
)
from assets.answers.verdict import Verdict, verdict

Comparison = Callable[[str, str, str], Verdict | None]

_FACTORIAL = re.compile(r"\$?\s*(\d{1,2})\s*!\s*\$?")
_SPACE_COMMAND = re.compile(r"\\(?:[ ,;:]|q?quad\b)")
_HALF_OPEN_INTERVAL = re.compile(r"\[[^][()]{1,60},[^][()]{1,60}\)|\([^][()]{1,60},[^][()]{1,60}\]")
_DECIMAL_COMMA = re.compile(r"(-?\d+),(\d+)")
_LONG_INTEGER = re.compile(r"([-+]?)0*(\d+)")
_LONGEST_INTEGER = 10_000  # characters


def compare_final(given: str | None, reference: str | None, domain: str) -> Verdict:
    """Whether a final answer is the reference's.

    Numbers are compared by value. A unit may be missing on one side; two known units are converted, and are never equal
    where they measure different things (km/h and m/s are converted, $ and € are not). A percentage may stand as its
    number or its hundredth, and a decimal may be the other rounded. Labels of options, yes and no, times of the day,
    dates, ratios and named values are compared as such; formulas, lists, sets, points and intervals by math-verify;
    code token by token. Other text is right if its words are the same, or if one proper name contains the other; it is
    wrong for opposites and for different proper names.

    Args:
        given: the answer, as `read_final` reads it.
        reference: the reference's final answer.
        domain: "math", "code" or "general".

    Returns:
        `unknown` where either is missing or where no rule can decide.
    """
    found = _compare_cleaned(without_words(given or ""), without_words(reference or ""), domain)
    factorials = [_FACTORIAL.fullmatch(side or "") for side in (given, reference)]
    if found == "wrong" and domain == "math" and any(factorials):  # "720!" may be an exclamation, "6!" a number
        left, right = (
            str(math.factorial(int(match[1]))) if match else clean(side or "")
            for match, side in zip(factorials, (given, reference), strict=True)
        )
        return _compare_cleaned(left, right, domain)
    return found


def _compare_cleaned(given: str, reference: str, domain: str) -> Verdict:
    if not given or not reference:
        return "unknown"
    if given == reference:
        return "right"
    if max(len(given), len(reference)) > LONGEST_FINAL:
        return _compare_long_integers(given, reference)
    if domain == "code" and looks_like_code(given) and looks_like_code(reference):
        return compare_code(given, reference)
    if same_text(given, reference):
        return "right"
    plain = (_SPACE_COMMAND.sub(" ", TEXT_COMMAND.sub(r"\1", side)) for side in (given, reference))
    sides = {WORDS: tuple(plain), VALUES: (given, reference)}
    for comparisons, (left, right) in sides.items():
        for compare in comparisons:
            found = compare(left, right, domain)
            if found is not None:
                return found
    return compare_texts(given, reference)


def _compare_long_integers(given: str, reference: str) -> Verdict:
    """Integers of any length are compared digit by digit; other long texts are explanations."""
    if max(len(given), len(reference)) > _LONGEST_INTEGER:
        return "unknown"
    left, right = (_LONG_INTEGER.fullmatch(re.sub(r"[,\s]", "", plain_numbers(side))) for side in (given, reference))
    if left is None or right is None:
        return "unknown"
    return verdict((left[1] == "-", left[2]) == (right[1] == "-", right[2]))


# -- labels, truth, statements, times ----------------------------------------------------------------------------------


def _labels(given: str, reference: str, domain: str) -> Verdict | None:
    several = option_labels(given), option_labels(reference)
    if all(several):
        return verdict(several[0] == several[1])
    (given_label, given_content), (reference_label, reference_content) = option_label(given), option_label(reference)
    if given_label and reference_label:
        return verdict(given_label == reference_label)
    if (several[0] and reference_label) or (several[1] and given_label):
        return "wrong"
    if not (given_label or reference_label):
        return None
    if re.fullmatch(r"[a-j]", given if reference_label else reference):
        return "wrong"  # the same letter would be the same text
    if not (given_content and reference_content):
        behind = re.match(r"([A-J])[,:]\s", given if reference_label else reference)
        return verdict(behind[1] == (reference_label or given_label)) if behind else "unknown"
    return compare_final(given_content, reference_content, domain)


def _truths(given: str, reference: str, domain: str) -> Verdict | None:
    expected, found = truth(reference), truth(given)
    if expected is None:
        return None
    return "unknown" if found is None else verdict(found == expected)


def _solutions(given: str, reference: str, domain: str) -> Verdict | None:
    stated = number_of_solutions(given), number_of_solutions(reference)
    return verdict(stated[0] == stated[1]) if all(stated) else None


def _clock_times(given: str, reference: str, domain: str) -> Verdict | None:
    found, expected = clock_time(given), clock_time(reference)
    if found is None or expected is None:
        return None
    if (found[1] and expected[1]) or (found[0] == expected[0] and not re.search(r"[A-Za-z]", given + reference)):
        return verdict(found[0] == expected[0])
    if found[0] % 720 != expected[0] % 720:
        return "wrong"
    return "right" if found == expected else "unknown"


def _dates(given: str, reference: str, domain: str) -> Verdict | None:
    found, expected = date(given), date(reference)
    if found is None or expected is None:
        return None
    if any(None not in pair and pair[0] != pair[1] for pair in zip(found, expected, strict=True)):
        return "wrong"
    return "right" if found == expected else "unknown"


def _ratios(given: str, reference: str, domain: str) -> Verdict | None:
    found, expected = ratio(given), ratio(reference)
    return verdict(found == expected) if found and expected else None


# -- several values, named values --------------------------------------------------------------------------------------


def _lists(given: str, reference: str, domain: str) -> Verdict | None:
    """Several quantities, with their names or nouns, or words in one order; lists of formulas go to math-verify."""
    if read_quantity(given) and read_quantity(reference):
        return None
    found, expected = read_items(given), read_items(reference)
    if found is None or expected is None or (domain == "math" and found.ordered != expected.ordered):
        return None
    pairs = zip(found.items, expected.items, strict=False)
    if len(found.items) == len(expected.items) and all(same_text(" ".join(a), " ".join(b)) for a, b in pairs):
        return "right"
    if not all(read_quantity(value) for _, value in (*found.items, *expected.items)):
        return None
    if len(found.items) != len(expected.items):
        return "wrong"
    if found.named and expected.named and sorted(found.names) == sorted(expected.names):
        values = dict(found.items)
        return _all(compare_final(values[name], value, domain) for name, value in expected.items)
    nouns = _by_noun(found), _by_noun(expected)
    if nouns[0] and nouns[1] and nouns[0].keys() == nouns[1].keys():
        return verdict(nouns[0] == nouns[1])
    left, right = ([value for _, value in side.items] for side in (found, expected))
    in_order = _all(compare_final(*pair, domain) for pair in zip(left, right, strict=True))
    if in_order == "right" or (found.ordered and expected.ordered):
        return in_order
    unordered = _compare_without_order(left, right, domain)
    keeps_order = found.named or expected.named or found.ordered or expected.ordered
    return "unknown" if unordered == "right" and keeps_order else unordered


def _compare_without_order(given: list[str], reference: Sequence[str], domain: str) -> Verdict:
    undecided = False
    for value in reference:
        verdicts = [compare_final(other, value, domain) for other in given]
        if "right" in verdicts:
            del given[verdicts.index("right")]
        elif "unknown" in verdicts:
            undecided = True
        else:
            return "wrong"
    return "unknown" if undecided else "right"


def _by_noun(values: Items) -> dict[str, Fraction] | None:
    quantities = [read_quantity(value) for _, value in values.items]
    named = {quantity.noun: quantity.number for quantity in quantities if quantity and quantity.noun}
    return named if len(named) == len(values.items) else None


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    found = set(verdicts)
    if "wrong" in found:
        return "wrong"
    return "unknown" if "unknown" in found else "right"


def _named_values(given: str, reference: str, domain: str) -> Verdict | None:
    """A value with a name on one side or the same name on both: `x = 5 cm`, `Width: 5 cm`, `it is 2x`."""
    if formula(given) and formula(reference):
        return None
    (found_name, found), (expected_name, expected) = named_value(given), named_value(reference)
    if not (found_name or expected_name) or (found_name and expected_name and found_name != expected_name):
        return None
    if not all(read_quantity(value) or formula(value) for value in (found, expected)):
        return None
    return compare_final(found, expected, domain)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _quantities(given: str, reference: str, domain: str) -> Verdict | None:
    found, expected = read_quantity(given), read_quantity(reference)
    if found and expected:
        return "unknown" if bounded(found.noun) != bounded(expected.noun) else compare_quantities(found, expected)
    quantity = found or expected
    if quantity is None:
        return None
    commas = [_DECIMAL_COMMA.fullmatch(side) for side in (given, reference)]
    if any(commas):
        left, right = (_DECIMAL_COMMA.sub(r"\1.\2", side) for side in (given, reference))
        if compare_final(left, right, domain) == "right":
            return "right"
    other = reference if found else given
    if _HALF_OPEN_INTERVAL.search(other):
        return "wrong"
    if formula(other):
        number = quantity_as_formula(quantity, other)
        left, right = (number, reference) if found else (given, number)
        return None if domain == "code" else compare_as_formulas(left, right, domain)
    in_phrase = _quantity_in_phrase(other)
    if in_phrase is None or bounded(given) != bounded(reference) or in_phrase.number == -quantity.number:
        return "unknown"
    return compare_quantities(found or in_phrase, expected or in_phrase)


def _quantity_in_phrase(answer: str) -> Quantity | None:
    """The one number of a phrase, "a total of 42 apples"; not of a formula."""
    plain = plain_numbers(re.sub(r"\s*\([^()]*\)$", "", answer))
    if "\\" in plain or re.search(r"[+*^<>(){}√∛π]", plain) or negated(plain):
        return None
    _, equals, right = plain.rpartition("=")
    if equals:
        return read_quantity(right.strip())
    found = list(numbers_in(plain))
    if len(found) != 1:
        return None
    start = plain.find(found[0][1])
    return read_quantity(currency_before(plain[:start]) + plain[start:])


# -- formulas ----------------------------------------------------------------------------------------------------------


def _formulas(given: str, reference: str, domain: str) -> Verdict | None:
    if domain == "code":
        return None
    return compare_growth(given, reference) or compare_as_formulas(given, reference, domain)


# In this order. Words are compared without the commands of LaTeX around them.
WORDS: tuple[Comparison, ...] = (_labels, _truths, _solutions, _clock_times, _dates, _ratios)
VALUES: tuple[Comparison, ...] = (_lists, _named_values, _quantities, _formulas)
