"""Whether two final answers are the same: right, wrong, or unknown where no rule can decide.

Each kind of answer has its own comparison; the first that understands both sides decides. What none understands goes
to formulas (math-verify) in mathematics, to tokens in code, and to words elsewhere.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Literal

from assets.answers.formulas import comparable_formula, equal_formulas
from assets.answers.markup import LONGEST_FINAL, clean
from assets.answers.quantities import Quantity, numbers_in, plain_numbers, read_quantity
from assets.answers.units import PERCENT, Dimension
from assets.answers.values import (
    Item,
    Items,
    clock_time,
    date,
    items,
    number_of_solutions,
    one_item,
    option_label,
    option_labels,
    ratio,
    truth,
)

Verdict = Literal["right", "wrong", "unknown"]
Comparison = Callable[[str, str, str], Verdict | None]

SHORT_TEXT = 3  # words up to which a text without a marker is taken as an answer
_CLOSE = Fraction(1, 100)
_FACTORIAL = re.compile(r"\$?\s*(\d{1,2})\s*!\s*\$?")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
_WORD = re.compile(r"\w+(?:[.:/'-]\w+)*")
_NEGATION = re.compile(r"\b(?:not|no|non|never|neither|nor|false|without|except)\b|n't\b", re.IGNORECASE)
_OPPOSITES = frozenset(
    frozenset(pair.split("/"))
    for pair in [
        "positive/negative",
        "true/false",
        "yes/no",
        "increase/decrease",
        "increases/decreases",
        "increasing/decreasing",
        "rise/fall",
        "profit/loss",
        "gain/loss",
        "even/odd",
        "left/right",
        "north/south",
        "east/west",
        "more/less",
        "above/below",
        "before/after",
        "hot/cold",
        "acute/obtuse",
        "clockwise/counterclockwise",
        "maximum/minimum",
        "max/min",
        "up/down",
        "entailment/contradiction",
        "rational/irrational",
        "convergent/divergent",
        "converges/diverges",
        "possible/impossible",
        "early/late",
        "ahead/behind",
    ]
)
# Dimensions that a rule cannot convert, or whose names are shared: equal numbers are right, others unknown.
_SHARED_NAMES = frozenset(
    frozenset(pair.split("/"))
    for pair in (
        "mass/pound sterling",
        "dollar/euro cent",
        "month/time",
        "angle/radian",
        "celsius/angle",
        "fahrenheit/angle",
        "celsius/kelvin",
        "celsius/fahrenheit",
    )
)


def compare_final(given: str | None, reference: str | None, domain: str) -> Verdict:
    """Whether a final answer is the reference's.

    Numbers are compared by value. A unit may be missing on one side; two known units are converted, and are never equal
    where they measure different things (km/h and m/s are converted, $ and € are not). A percentage may stand as its
    number or its hundredth, and a decimal may be the other rounded. Labels of options, yes and no, times of the day,
    dates, ratios, lists, points and named values are compared as such, formulas by math-verify (in mathematics), code
    token by token. Other text is right if its words are the same, or if one proper name holds the other; it is wrong for
    opposites and for different proper names.

    Args:
        given: the answer, as `read_final` reads it.
        reference: the reference's final answer.
        domain: "math", "code" or "general".

    Returns:
        `unknown` where either is missing or where no rule can decide.
    """
    verdict = _compare_cleaned(clean(given or ""), clean(reference or ""), domain)
    factorials = [_FACTORIAL.fullmatch(side or "") for side in (given, reference)]
    if verdict == "wrong" and domain == "math" and any(factorials):  # "720!" may be an exclamation, "6!" a number
        values = [
            str(math.factorial(int(match[1]))) if match else side
            for match, side in zip(factorials, (given, reference), strict=True)
        ]
        return _compare_cleaned(clean(values[0] or ""), clean(values[1] or ""), domain)
    return verdict


def _compare_cleaned(given: str, reference: str, domain: str) -> Verdict:
    if not given or not reference:
        return "unknown"
    if max(len(given), len(reference)) > LONGEST_FINAL:
        return "right" if given == reference else "unknown"
    if domain == "code" and _looks_like_code(given) and _looks_like_code(reference):
        return _compare_code(given, reference)
    if _same_text(given, reference):
        return "right"
    for compare in COMPARISONS:
        verdict = compare(given, reference, domain)
        if verdict is not None:
            return verdict
    return "unknown"


# -- labels, truth, statements, times ----------------------------------------------------------------------------------


def _labels(given: str, reference: str, domain: str) -> Verdict | None:
    several = option_labels(given), option_labels(reference)
    if all(several):
        return _verdict(several[0] == several[1])
    (given_label, given_content), (reference_label, reference_content) = option_label(given), option_label(reference)
    if given_label and reference_label:
        return _verdict(given_label == reference_label)
    if not (given_label or reference_label):
        label, text = (option_label(given[:1])[0], reference) if re.match(r"[A-J],\s", given) else (None, "")
        return "right" if label and label == option_label(text)[0] else None
    if not (given_content and reference_content):
        behind = re.match(r"([A-J])[,:]\s", given if reference_label else reference)
        return _verdict(behind[1] == (reference_label or given_label)) if behind else "unknown"
    return compare_final(given_content, reference_content, domain)


def _truths(given: str, reference: str, domain: str) -> Verdict | None:
    expected, found = truth(reference), truth(given)
    if expected is None:
        return None
    return "unknown" if found is None else _verdict(found == expected)


def _solutions(given: str, reference: str, domain: str) -> Verdict | None:
    stated = number_of_solutions(given), number_of_solutions(reference)
    return _verdict(stated[0] == stated[1]) if all(stated) else None


def _clock_times(given: str, reference: str, domain: str) -> Verdict | None:
    found, expected = clock_time(given), clock_time(reference)
    if found is None or expected is None:
        return None
    if found[1] and expected[1]:
        return _verdict(found[0] == expected[0])
    return "unknown" if found[0] % 720 == expected[0] % 720 else "wrong"


def _dates(given: str, reference: str, domain: str) -> Verdict | None:
    found, expected = date(given), date(reference)
    if found is None or expected is None:
        return None
    if found[1:] != expected[1:]:
        return "wrong"
    if found[0] is None or expected[0] is None:
        return "right" if found[0] == expected[0] else "unknown"
    return _verdict(found[0] == expected[0])


def _ratios(given: str, reference: str, domain: str) -> Verdict | None:
    found, expected = ratio(given), ratio(reference)
    return _verdict(found == expected) if found and expected else None


# -- lists -------------------------------------------------------------------------------------------------------------


def _lists(given: str, reference: str, domain: str) -> Verdict | None:
    if read_quantity(given) and read_quantity(reference):
        return None
    if _DECIMAL_COMMA.fullmatch(given) or _DECIMAL_COMMA.fullmatch(reference):
        left, right = (re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", side) for side in (given, reference))
        if compare_final(left, right, domain) == "right":
            return "right"
    found, expected = items(given), items(reference)
    if found is None and expected is None:
        return _named_value(given, reference, domain)
    if any(side and not all(_is_value(item.value, domain) for item in side.items) for side in (found, expected)):
        return None
    if found is None or expected is None:
        single = one_item(reference if expected is None else given).value
        return "wrong" if _is_value(single, domain) and domain == "math" and not _is_interval(single) else None
    if len(found.items) != len(expected.items):
        return "wrong"
    if found.named and expected.named and sorted(found.names) == sorted(expected.names):
        named = {item.name: item.value for item in found.items}
        return _all(compare_final(named[item.name], item.value, domain) for item in expected.items)
    nouns = _by_noun(found), _by_noun(expected)
    if nouns[0] and nouns[1] and nouns[0].keys() == nouns[1].keys():
        return _verdict(nouns[0] == nouns[1])
    in_order = _all(
        compare_final(left.value, right.value, domain) for left, right in zip(found.items, expected.items, strict=True)
    )
    if in_order == "right" or (found.ordered and expected.ordered):
        return in_order
    unordered = _compare_sets(found.items, expected.items, domain)
    differently_named = found.named or expected.named or found.ordered or expected.ordered
    return "unknown" if unordered == "right" and differently_named else unordered


def _named_value(given: str, reference: str, domain: str) -> Verdict | None:
    """`x = 5` and `5`; an equation such as `y = 2x + 1` keeps its sides where both have them."""
    found, expected = one_item(given), one_item(reference)
    if not (found.name or expected.name) or (found.name and expected.name and found.name != expected.name):
        return None
    if not (_is_value(found.value, domain) and _is_value(expected.value, domain)):
        return None
    return compare_final(found.value, expected.value, domain)


def _compare_sets(found: Sequence[Item], expected: Sequence[Item], domain: str) -> Verdict:
    left, undecided = list(found), False
    for item in expected:
        verdicts = [compare_final(other.value, item.value, domain) for other in left]
        if "right" in verdicts:
            del left[verdicts.index("right")]
        elif "unknown" in verdicts:
            undecided = True
        else:
            return "wrong"
    return "unknown" if undecided else "right"


def _by_noun(values: Items) -> dict[str, Fraction] | None:
    quantities = [read_quantity(item.value) for item in values.items]
    named = {quantity.noun: quantity.number for quantity in quantities if quantity and quantity.noun}
    return named if len(named) == len(values.items) else None


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    found = set(verdicts)
    if "wrong" in found:
        return "wrong"
    return "unknown" if "unknown" in found else "right"


def _is_value(text: str, domain: str) -> bool:
    if read_quantity(text) is not None:
        return True
    return domain == "math" and (comparable_formula(text) is not None or bool(re.fullmatch(r"-?[A-Za-z]", text)))


def _is_interval(text: str) -> bool:
    return bool(re.match(r"[\[(].*,.*[\])]", text)) or any(sign in text for sign in "<>≤≥\\{")


# -- numbers -----------------------------------------------------------------------------------------------------------


def _quantities(given: str, reference: str, domain: str) -> Verdict | None:
    expected = read_quantity(reference)
    if expected is None:
        found = read_quantity(given)
        if found is not None:
            phrase = _quantity_in_phrase(reference)
            return compare_quantities(found, phrase) if phrase else None
        return None
    found = read_quantity(given) or _quantity_in_phrase(given)
    if found is None:
        return None if domain == "math" and comparable_formula(given) else "unknown"
    return compare_quantities(found, expected)


def _quantity_in_phrase(answer: str) -> Quantity | None:
    """The one number of a phrase, "a total of 42 apples"; not of a formula."""
    plain = plain_numbers(re.sub(r"\s*\([^()]*\)$", "", answer))
    if "\\" in plain or re.search(r"[+*^<>(){}]", plain) or _NEGATION.search(plain):
        return None
    _, equals, right = plain.rpartition("=")
    if equals:
        return read_quantity(right.strip())
    found = list(numbers_in(plain))
    if len(found) != 1:
        return None
    start = plain.find(found[0][1])
    before = plain[:start].rstrip()
    return read_quantity((before[-1] if before.endswith(("$", "€", "£", "¥", "₹")) else "") + plain[start:])


def compare_quantities(given: Quantity, expected: Quantity) -> Verdict:
    """Whether two quantities are equal; see `compare_final`."""
    left, right = given.number, expected.number
    if _opposite(given.noun, expected.noun):
        return "wrong"
    if given.unit and expected.unit and given.unit != expected.unit:
        if given.unit.dimension == expected.unit.dimension:
            return _compare_numbers(left * given.unit.size, None, right * expected.unit.size, None)
        if _names_shared(given.unit.dimension, expected.unit.dimension):
            return "right" if left == right else "unknown"
        return "wrong"
    if (given.unit is None) != (expected.unit is None):
        percent = next(side for side in (given, expected) if side.unit)
        if percent.unit and percent.unit.dimension == PERCENT:
            hundredth = (left / 100, right) if given.unit else (left, right / 100)
            if hundredth[0] == hundredth[1]:
                return "right"
    return _compare_numbers(left, given.decimals, right, expected.decimals)


def _compare_numbers(left: Fraction, left_decimals: int | None, right: Fraction, right_decimals: int | None) -> Verdict:
    if left == right:
        return "right"
    if abs(left - right) > _CLOSE * max(abs(left), abs(right)):
        return "wrong"
    written = [decimals for decimals in (left_decimals, right_decimals) if decimals is not None]
    if len(written) == 2 and written[0] == written[1]:
        return "wrong" if written[0] == 0 else "unknown"
    if not written:
        return "wrong" if left.denominator == right.denominator == 1 else "unknown"
    decimals = min(written)
    if abs(left - right) > Fraction(1, 2 * 10**decimals):
        return "wrong" if decimals == 0 else "unknown"
    if decimals >= 2 or (len(written) == 1 and decimals) or (decimals and _rounded_from_one(left, right, written)):
        return "right"
    return "unknown"


def _rounded_from_one(left: Fraction, right: Fraction, decimals: Sequence[int]) -> bool:
    """Whether one fraction with a small denominator rounds to both: 66.7 and 66.67 are 200/3."""
    near = (left.limit_denominator(12), right.limit_denominator(12))
    return any(
        all(
            abs(exact - side) <= Fraction(1, 2 * 10**places)
            for side, places in zip((left, right), decimals, strict=True)
        )
        for exact in near
    )


def _names_shared(left: Dimension, right: Dimension) -> bool:
    names = frozenset(name for name, _ in left ^ right)
    return names in _SHARED_NAMES


# -- formulas, code, text ----------------------------------------------------------------------------------------------


def _formulas(given: str, reference: str, domain: str) -> Verdict | None:
    if domain != "math":
        return _big_o(given, reference)
    left, right = comparable_formula(given), comparable_formula(reference)
    if not left or not right:
        return None
    equal = equal_formulas(left, right)
    if equal is None:
        return None
    return "unknown" if not equal and any(map(_needs_evaluation, (given, reference))) else _verdict(equal)


def _needs_evaluation(formula: str) -> bool:
    """Whether a formula's equality to another may only show in its value: decimals, degrees, powers of e."""
    variables = set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", formula))) - {"e", "i"}
    return not variables and bool(re.search(r"\d\.\d|\\circ|°|e\s*\^", formula))


def _big_o(given: str, reference: str) -> Verdict | None:
    """`O(n log n)` and `O(n^2)`: right where the same is in the brackets, else wrong where both are simple."""
    inside = [re.fullmatch(r"\$?\\?[OΘΩ]\s*\((.{1,40})\)\$?", text) for text in (given, reference)]
    if not all(inside):
        return None
    plain = [re.sub(r"[\s\\*{}]", "", match[1]).casefold() for match in inside if match]
    return _verdict(plain[0] == plain[1])


def _looks_like_code(text: str) -> bool:
    return bool(re.search(r"[=(){}\[\];`<>|&!+*]|--|\w\.\w|\s-\w", text)) and not re.fullmatch(r"[\d.,$€£%\s-]+", text)


_CODE_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|--?[A-Za-z][\w-]*|\w+|\+\+|--|[=!<>]=|&&|\|\||\S")
_COMMUTATIVE = {"==", "!=", "+", "*", "&&", "||", "and", "or"}


def _compare_code(given: str, reference: str) -> Verdict:
    """Right for the same tokens whatever the quotes and spaces; wrong where one operator or option differs."""
    tokens = [
        [
            token[1:-1] if token[:1] in "\"'" and len(token) > 1 else token
            for token in _CODE_TOKEN.findall(text.strip("`$ "))
        ]
        for text in (given, reference)
    ]
    if tokens[0] == tokens[1]:
        return "right"
    if (order := _big_o(given.strip("`$ "), reference.strip("`$ "))) is not None:
        return order
    if len(tokens[0]) != len(tokens[1]):
        return "unknown"
    if sorted(tokens[0]) == sorted(tokens[1]):
        return "unknown" if _COMMUTATIVE & set(tokens[0]) else "wrong"
    different = [(left, right) for left, right in zip(*tokens, strict=True) if left != right]
    operators = all(re.fullmatch(r"\W+|--?[A-Za-z][\w-]*", token) for pair in different for token in pair)
    return "wrong" if len(different) == 1 and operators else "unknown"


def _texts(given: str, reference: str, domain: str) -> Verdict | None:
    left, right = _words(given), _words(reference)
    if _opposite(given, reference):
        return "wrong"
    if not left or not right or any("\\" in text or _operators(text) for text in (given, reference)):
        return "unknown"
    if _initials(given) == reference.replace(".", "") or _initials(reference) == given.replace(".", ""):
        return "right"
    if bool(_NEGATION.search(given)) != bool(_NEGATION.search(reference)):
        return "unknown"
    names = _is_name(given), _is_name(reference)
    if _holds(left, right) and names[0 if len(left) < len(right) else 1] and not re.search(r"\d", given + reference):
        return "right"
    short = max(len(left), len(right)) <= SHORT_TEXT
    return "wrong" if short and all(names) and set(left).isdisjoint(right) else "unknown"


def _is_name(text: str) -> bool:
    """Whether a text is a proper name: each word but articles and "of" with a capital; no abbreviation."""
    words = [
        word for word in re.findall(r"[^\W\d_][\w'.-]*", text) if word.casefold() not in ("a", "an", "the", "of", "and")
    ]
    return bool(words) and all(word[0].isupper() and not word.isupper() for word in words)


def _initials(text: str) -> str | None:
    """`New York City` -> `NYC`; None for fewer than three words."""
    words = re.findall(r"[^\W\d_]+", text)
    return "".join(word[0] for word in words if word[0].isupper()) if len(words) >= 3 else None


def _holds(left: list[str], right: list[str]) -> bool:
    """Whether the shorter of two word lists stands in the longer one, in a row."""
    short, long = sorted((left, right), key=len)
    return any(long[start : start + len(short)] == short for start in range(len(long) - len(short) + 1))


def _opposite(left: str, right: str) -> bool:
    if _NEGATION.search(left) or _NEGATION.search(right):
        return False
    words = set(_words(left)), set(_words(right))
    return any(
        len(pair & words[0]) == 1 and len(pair & words[1]) == 1 and pair & words[0] != pair & words[1]
        for pair in _OPPOSITES
    )


def _same_text(left: str, right: str) -> bool:
    """Equal but for case, articles, punctuation and spaces; signs that change the sense count."""
    return _words(left) == _words(right) != [] and _operators(left) == _operators(right)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if word not in ("a", "an", "the")]


def _operators(text: str) -> str:
    """The signs that change what a text says: `-5` is not `5`, `x > 3` is not `x < 3`, `€20` is not `$20`."""
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", "", text.casefold())
    return "".join(re.findall(r"[-+*^<>=≤≥√\[\]{}€£¥₹!²³:|]|(?<![\w])/", text))


def _verdict(equal: bool) -> Verdict:
    return "right" if equal else "wrong"


COMPARISONS: tuple[Comparison, ...] = (
    _labels,
    _truths,
    _solutions,
    _clock_times,
    _dates,
    _ratios,
    _lists,
    _quantities,
    _formulas,
    _texts,
)
