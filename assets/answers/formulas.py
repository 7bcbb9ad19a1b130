"""Which answers are formulas, how they are written for math-verify, and what its comparison says of two answers."""

import re

from assets.answers.formula_pool import compare_formulas
from assets.answers.markup import TEXT_COMMAND
from assets.answers.quantities import Quantity
from assets.answers.units import PERCENT, Unit, read_unit
from assets.answers.verdict import Verdict

_LONGEST_FORMULA = 200
_SIGNS = {
    "**": "^",
    "\u2212": "-",
    "·": r"\cdot ",
    "×": r"\times ",
    "÷": r"\div ",
    "≈": r"\approx ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "±": r"\pm ",
    "∞": r"\infty ",
    "°": r"^\circ ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "π": r"\pi ",
    "θ": r"\theta ",
    "²": "^2",
    "³": "^3",
    "<=": r"\le ",
    ">=": r"\ge ",
    "!=": r"\ne ",
    r"\dbinom": r"\binom",
    r"\tbinom": r"\binom",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\quad": " ",
    r"\qquad": " ",
    r"\varnothing": r"\emptyset",
}
_NUMERIC = r"(?:\\(?:pi|sqrt|[dt]?frac|cdot|times|div|log|ln|sin|cos|tan|left|right)|[^A-Za-z=\\])"
_REWRITES = (
    (re.compile(r"^\s*(?:=|\\approx)"), ""),
    (re.compile(r"\\(?:display|text|script)style(?![A-Za-z])|\\(?:normalsize|small|large|Large)(?![A-Za-z])"), ""),
    (re.compile(r"^\\\{\s*(\([^()]*\))\s*\\\}$"), r"\1"),  # a set of one point
    (
        re.compile(
            r"^\\\{\s*([a-z])\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\\mid|\||:)([^{}|:]*(?<![A-Za-z])\1[^{}|:]*)\\\}$"
        ),
        r"\2",  # the numbers with a condition
    ),
    (re.compile(r"(=[^=]*?)\\approx.*"), r"\1"),  # "x = 1/3 ≈ 0.33"
    (re.compile(rf"^({_NUMERIC}*\d{_NUMERIC}*)\\approx.*"), r"\1"),  # "2\pi ≈ 6.28"
    (re.compile(r"\\approx"), "="),
    (re.compile(r"√\s*\(?([\w.]+)\)?"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\A-Za-z])(sqrt|pi|sin|cos|tan|log|ln|exp|infinity)(?![A-Za-z])"), r"\\\1"),
    (re.compile(r"\\infinity"), r"\\infty"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (
        re.compile(r"(?<![\w.])(?:_?\{?(\d{1,3})\}?C_?\{?(\d{1,3})\}?(?!\w)|C\((\d{1,3}),\s*(\d{1,3})\))"),
        r"\\binom{\1\3}{\2\4}",
    ),
    (re.compile(r"\\binom\s*(\d)\s*(\d)"), r"\\binom{\1}{\2}"),
    (re.compile(r",?\s*(?:\\(?:text|mathrm|mbox)\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*"), ","),
    (re.compile(r"\\?,?\s*\\(?:text|mathrm)\s*\{\s*\}"), " "),
)
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})")
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)\b")
_EMBEDDED = re.compile(r"[^$\d]*\$([^$]+)\$[^$\d]*")  # "We find that $x < 3$."
_STRUCTURE = re.compile(
    r"\\(?:text\w*|mathrm|mbox|operatorname|mathbf)\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+"
)
_WORD = re.compile(
    r"[A-Za-z]?[a-z]{3,}|[A-Z][a-z]{2}"  # points such as ABCD are no word
    r"|(?<![A-Za-z])(?:is|it|in|of|to|or|as|at|be|by|do|he|if|me|my|no|on|so|up|us|we|an|am)(?![A-Za-z])"
)
_FOREIGN = re.compile(r"[#@~`?\"]|\d[eE]\d|\b0x|\d(?:'?s|[kK])\b|[^\x00-\x7f]")
# What would only use up a worker's time: long numbers, powers of powers, large exponents and factorials.
_EXPENSIVE = re.compile(
    r"\d{41}|\d[\s})]*\^[\s{(]*\d+[\s})]*\^[\s{(]*\d|\^[\s{(]*-?\d{5}|[A-Za-z)}]\s*\^[\s{(]*-?\d{4}|\d{4}\s*!|[\d)^][^()]*\)\s*!|!\s*!"
    r"|\\(?:sum|prod|i*int)\b.*\d{4}"
)
_UNIT_BEHIND = re.compile(
    r"[\s~]*(?:\\(?:text\w*|mathrm|mbox)\s*\{\s*([^{}]{1,30})\}"
    r"|(?<=[\d})\sπ])((?:(?:square|cubic|sq\.?|cu\.?)\s)?[A-Za-z]{2,12}(?:(?:\s*/\s*|\sper\s)[A-Za-z]{1,10})?))"
    r"(\^\{?[23]\}?|[²³])?\s*\Z"
)
_CONSTANT = re.compile(r"\s*\+\s*C\s*\Z")  # of an integration
_MODULO = re.compile(r"\s*(?:\\pmod\s*\{[^{}]*\}|\(?\s*\\?b?mod\s*[^()]{1,20}\)?)\s*\Z")
_BASE = re.compile(r"\d_\{?\d")
_RANGE = re.compile(r"\d+\s?-\s?\d+")
_MEMBER = re.compile(r"\A\s*[A-Za-z]\s*(?:\\in(?![A-Za-z])|∈)\s*")
_VALUE_OF_FUNCTION = re.compile(  # f(3) = 7, and derivatives
    r"\A\s*(?:[A-Za-z]'{0,3}\([^()=]{1,20}\)|\\[dt]?frac\s*\{\s*d\s?\w?\s*\}\s*\{\s*d\s?\w\s*\})\s*="
)
_DECIMAL = re.compile(r"\d\.(\d{2,6})(?!\d)")


def formula(answer: str) -> str | None:
    """The answer as LaTeX that may be given to math-verify; None for words, and for what would use up its time."""
    if len(answer) > _LONGEST_FORMULA or _RANGE.fullmatch(answer):
        return None
    embedded = _EMBEDDED.fullmatch(answer)
    text = embedded[1] if embedded else answer.replace("$", "")
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    if "," not in text and text.count(r"\pm") == 1:
        text = text.replace(r"\pm", "+") + ", " + text.replace(r"\pm", "-")
    text = text.strip(" ,")
    if len(text) > _LONGEST_FORMULA or not re.search(r"[\d\\+*/^=<>|(\[]|^-?[A-Za-z]$|[A-Za-z]\s?-\s?[A-Za-z]", text):
        return None
    bare = _STRUCTURE.sub(" ", text)
    return None if _WORD.search(bare) or _FOREIGN.search(bare) or _EXPENSIVE.search(text) else text


def quantity_as_formula(quantity: Quantity, other: str) -> str:
    r"""A quantity's number in LaTeX, with `\%`; degrees become radians where the other answer has a `\pi`."""
    above, below = quantity.number.numerator, quantity.number.denominator
    if quantity.decimals:
        digits = f"{abs(above) * 10**quantity.decimals // below:0{quantity.decimals + 1}}"
        number = f"{'-' if above < 0 else ''}{digits[: -quantity.decimals]}.{digits[-quantity.decimals :]}"
    else:
        number = str(above) if below == 1 else rf"\frac{{{above}}}{{{below}}}"
    if quantity.unit and quantity.unit.dimension == PERCENT:
        return rf"{number}\%"
    if quantity.unit == read_unit("°")[0] and re.search(r"π|\\pi", other):
        return rf"{number}\cdot\frac{{\pi}}{{180}}"
    return number


def compare_as_formulas(given: str, reference: str, domain: str) -> Verdict | None:
    """What math-verify says of two formulas; None where either is none, or cannot be read.

    Units behind the formulas are compared as those of quantities are. Outside of mathematics, formulas with letters
    that differ are `unknown`: they may be chemistry or code.
    """
    (left, left_unit), (right, right_unit) = _split_unit(given), _split_unit(reference)
    # What only one side has may follow from the question: a constant, a modulus, a base.
    one_sided = [bool(sign.search(left)) != bool(sign.search(right)) for sign in (_CONSTANT, _MODULO, _BASE)]
    if one_sided[0]:
        left, right = _CONSTANT.sub("", left), _CONSTANT.sub("", right)
    if bool(_MEMBER.match(left)) != bool(_MEMBER.match(right)):
        left, right = _MEMBER.sub("", left), _MEMBER.sub("", right)
    if "=" not in left or "=" not in right:
        left, right = _VALUE_OF_FUNCTION.sub("", left), _VALUE_OF_FUNCTION.sub("", right)
    found, expected = formula(_MODULO.sub("", left)), formula(_MODULO.sub("", right))
    if found is None or expected is None:
        return None
    if left_unit and right_unit and left_unit != right_unit:
        if left_unit.dimension != right_unit.dimension:
            return "wrong"
        ratio = left_unit.size / right_unit.size
        found = rf"({found})\cdot\frac{{{ratio.numerator}}}{{{ratio.denominator}}}"
    places = min((len(decimals) for decimals in _DECIMAL.findall(f"{found} {expected}")), default=None)
    comparison = compare_formulas(found, expected, places)
    if comparison == "equal":
        return "unknown" if one_sided[0] else "right"
    letters = re.search(r"[A-Za-z]", _STRUCTURE.sub("", found + expected))
    upright = TEXT_COMMAND.search(found + expected)  # a unit, a name or the constant e
    if comparison == "different" and not any(one_sided) and not upright and (domain == "math" or not letters):
        return "wrong"
    return "unknown" if comparison else None


def _split_unit(answer: str) -> tuple[str, Unit | None]:
    r"""A formula and the known unit behind it: `2\sqrt{3}\text{ cm}`."""
    match = _UNIT_BEHIND.search(answer)
    if match is None or TEXT_COMMAND.fullmatch(answer):
        return answer, None
    words = match[1] and re.search(r"[A-Za-z]{2}", match[1]) and not re.fullmatch(r"\s*(?:and|or)\s*", match[1])
    unit, rest = read_unit(f"{match[1] or match[2]}{(match[3] or '').translate({123: '', 125: ''})}")
    if unit is None or rest:
        return (answer[: match.start()] if words and match.start() else answer), None
    return answer[: match.start()], unit
