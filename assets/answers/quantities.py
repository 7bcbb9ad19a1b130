"""Numbers and quantities: digits, fractions, number words, percentages, currencies and units."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from assets.answers.markup import LONGEST_FINAL, TEXT_COMMAND

_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)"
# A whole token: not a piece of a word, of a longer number, of a time (3:30) or of a date (1/2/2024).
_NUMBER_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_.])(?<!\d[,:/])(?P<sign>(?<![\w)%}}\]])-[ ]?)?(?:(?P<whole>\d+)[ ](?=\d+/\d))?"
    rf"(?P<number>{_NUMBER})(?:[ ]?/[ ]?(?P<below>{_NUMBER}))?(?![\d_])(?![.,:/]\d)"
)
_QUANTITY = re.compile(
    r"(?:(?:about|approximately|approx\.?|around|roughly|nearly|exactly|only|≈|~)\s*)?"
    r"(?P<sign>[-+])?\s*(?P<currency>[$€£¥₹])?\s*(?P<sign2>[-+])?"
    rf"(?:(?P<whole>\d+)\s+(?=\d+\s*/))?(?P<number>{_NUMBER})(?:\s*/\s*(?P<below>{_NUMBER}))?"
    r"(?:[eE](?P<exponent>[-+]?\d{1,2})(?!\w))?"
    r"(?P<unit>[-\s]*[A-Za-z°%$€£¥₹¢'][-A-Za-z°%$€£¥₹¢'/().,²³^\s]*[23]?)?\.?",
)
_LONGEST_NUMBER = 40  # characters: no arithmetic on what a model prints without end
_UP_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety hundred"
_NUMBER_WORDS = {word: value for value, word in enumerate(_UP_TO_TWENTY.split())} | {
    word: 10 * value for value, word in enumerate(_TENS.split(), start=3)
}
NUMBER_WORD = re.compile(
    r"(?<![\w-])(?:(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[- ](one|two|three|four|five|six|seven|eight"
    rf"|nine)|({'|'.join(_NUMBER_WORDS)}))(?![\w-])",
    re.IGNORECASE,
)
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_FRACTION_SIGNS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅕": "1/5", "⅛": "1/8"}
_SPACES_IN_NUMBER = re.compile("(?<=\\d)(?:\\\\[,;!]|[\u00a0\u2009\u202f])(?=\\d{3}(?!\\d))|(?<=\\d) (?=000(?!\\d))")
_NUMERIC_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(\d[\d,.]*)\s*\}\s*\{\s*(\d[\d,.]*)\s*\}|\\[dt]?frac\s*(\d)\s*(\d)")


def _measures() -> dict[str, tuple[str, Fraction]]:
    """Name of a unit to what it measures and its size: only these are converted into one another."""
    sizes = {
        "money": [("dollar usd $", "1"), ("cent ¢", "1/100")],
        "length": [
            ("m meter metre", "1"),
            ("km kilometer kilometre", "1000"),
            ("cm centimeter centimetre", "1/100"),
            ("mm millimeter millimetre", "1/1000"),
            ("foot feet ft", "381/1250"),
            ("inch inche in", "127/5000"),
            ("yard yd", "1143/1250"),
            ("mile mi", "201168/125"),
        ],
        "mass": [
            ("g gram", "1"),
            ("kg kilogram", "1000"),
            ("mg milligram", "1/1000"),
            ("pound lb", "45359237/100000"),
            ("ounce oz", "45359237/1600000"),
        ],
        "time": [
            ("second sec s", "1"),
            ("minute min", "60"),
            ("hour hr h", "3600"),
            ("day", "86400"),
            ("week", "604800"),
        ],
        "volume": [("l liter litre", "1"), ("ml milliliter millilitre", "1/1000")],
    }
    return {
        name: (dimension, Fraction(size))
        for dimension, units in sizes.items()
        for names, size in units
        for name in names.split()
    }


_MEASURES = _measures()


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was written, with its unit."""

    number: Fraction
    decimals: int | None  # digits after the point; None: exact, written as a fraction
    unit: str  # lower case, singular; "" where there is none

    @property
    def measure(self) -> tuple[str, Fraction] | None:
        """What the unit measures and how large it is, where it is a known one."""
        return _MEASURES.get(self.unit)


def read_quantity(answer: str) -> Quantity | None:
    r"""A number with or without unit, if that is all the answer is; None otherwise.

    Understands `1,250`, `-3.5`, `$4.50`, `25%`, `3/4`, `1 1/2`, `\frac{3}{4}`, `42\text{ km}`, `2 million`, `1e3`,
    `forty-two`, `42 apples left`. A letter that is no unit is a variable: `5x` is not a quantity.
    """
    if len(answer) > LONGEST_FINAL:
        return None
    plain = plain_numbers(answer).strip().rstrip(".")
    spelled = NUMBER_WORD.match(plain)
    if spelled:
        plain = f"{spelled_number(spelled)}{plain[spelled.end() :]}"
    match = _QUANTITY.fullmatch(plain)
    if match is None:
        return None
    value = _fraction(match["number"], match["below"], match["whole"])
    if value is None:
        return None
    unit = (match["unit"] or "").strip(" \t-.,'()").casefold()
    if match["currency"]:
        unit = f"{match['currency']} {unit}".strip()
    first, _, rest = unit.partition(" ")
    scale = first if first in SCALES else (rest.split(" ")[0] if match["currency"] else "")
    if scale in SCALES:
        value *= SCALES[scale]
        unit = " ".join(word for word in unit.split() if word != scale)
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    if len(unit) == 1 and unit.isalpha() and unit not in _MEASURES:
        return None
    if "-" in (match["sign"], match["sign2"]):
        value = -value
    _, point, decimals = match["number"].partition(".")
    exact = bool(match["below"] or scale in SCALES or match["exponent"])
    return Quantity(value, None if exact else len(decimals) if point else 0, _singular(unit))


def _singular(unit: str) -> str:
    unit = {"percent": "%", "per cent": "%", "degrees": "°", "degree": "°"}.get(unit, unit)
    first = unit.split(" ")[0].removesuffix(".")
    for name in (unit, unit.removesuffix("s"), first, first.removesuffix("s")):
        if name in _MEASURES or name == "%":
            return name
    return unit


def plain_numbers(text: str) -> str:
    """A text's numbers in plain writing: signs, thin spaces, LaTeX fractions, percent and currency signs."""
    if not text.isascii():
        for sign, fraction in _FRACTION_SIGNS.items():
            text = text.replace(sign, f" {fraction}")
        text = text.replace("\u2212", "-").replace("\u2044", "/")
    text = _SPACES_IN_NUMBER.sub("", text)
    if "\\" not in text:
        return text
    text = text.replace("{,}", ",")
    text = _NUMERIC_FRACTION.sub(lambda m: f" {m[1] or m[3]}/{m[2] or m[4]}", text)
    text = TEXT_COMMAND.sub(r" \1", text)
    for command, plain in (
        (r"\$", "$"),
        (r"\%", "%"),
        (r"^\circ", "°"),
        (r"^{\circ}", "°"),
        (r"\left", ""),
        (r"\right", ""),
    ):
        text = text.replace(command, plain)
    return re.sub(r"\\[,;:! ]|~", " ", text)


def _fraction(number: str, below: str | None, whole: str | None) -> Fraction | None:
    if max(len(number), len(below or ""), len(whole or "")) > _LONGEST_NUMBER:
        return None
    value = Fraction(number.replace(",", ""))
    if below:
        divisor = Fraction(below.replace(",", ""))
        if divisor == 0:
            return None
        value /= divisor
    return value + int(whole) if whole else value


def spelled_number(match: re.Match[str]) -> int:
    if match[3]:
        return _NUMBER_WORDS[match[3].casefold()]
    return _NUMBER_WORDS[match[1].casefold()] + _NUMBER_WORDS[match[2].casefold()]


def numbers_in(text: str) -> Iterator[tuple[Fraction, str]]:
    """Every number of a text as (value, text), whole tokens in digits, in order."""
    for match in _NUMBER_TOKEN.finditer(text):
        value = _fraction(match["number"], match["below"], match["whole"])
        if value is not None:
            yield (-value if match["sign"] else value), match[0].strip()
