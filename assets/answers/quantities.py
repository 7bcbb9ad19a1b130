"""Numbers and quantities: digits, fractions, number words, percentages, currencies and units."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from assets.answers.markup import LONGEST_FINAL, TEXT_COMMAND
from assets.answers.units import Unit, read_unit

_CURRENCIES = "$€£¥₹"
_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)"
# A whole token: not a piece of a word, of a longer number, of a time (3:30) or of a date (1/2/2024).
_NUMBER_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_.])(?<!\d[,:/])(?P<sign>(?<![\w)%}}\]])-[ ]?)?(?:(?P<whole>\d+)[ ](?=\d+/\d))?"
    rf"(?P<number>{_NUMBER})(?:[ ]?/[ ]?(?P<below>{_NUMBER}))?(?![\d_])(?![.,:/]\d)"
)
_QUANTITY = re.compile(
    r"(?:(?:about|approximately|approx\.?|around|roughly|nearly|exactly|only|≈|~)\s*)?"
    r"(?P<sign>[-+])?\s*(?P<currency>[$€£¥₹]|(?:USD|EUR|GBP|JPY|INR|Rs\.?)(?![A-Za-z]))?\s*(?P<sign2>[-+])?"
    rf"(?:(?P<whole>\d+)\s+(?=\d+\s*/))?(?P<number>{_NUMBER})(?:\s*/\s*(?P<below>{_NUMBER}))?"
    r"(?:[eE](?P<exponent>[-+]?\d{1,2})(?!\w)|\s*(?:×|x|\*|·)\s*10\s*\^\s*[{(]?(?P<power>[-+]?\d{1,2})[})]?)?"
    r"(?P<unit>[-\s/]*[A-Za-z°%$€£¥₹¢'][-A-Za-z°%$€£¥₹¢'/().,²³^\s]*[23]?)?\.?",
)
_GROUPED_BY_SPACES = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
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
SCALES = {"thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SCALES_BEHIND = SCALES | {"hundred": 100}
_WORD_OF_NUMBER = rf"(?:{'|'.join([*_NUMBER_WORDS, *SCALES])})"
_SPELLED = re.compile(
    rf"(?:a\s+(?=hundred|thousand|million))?{_WORD_OF_NUMBER}(?:(?:\s+and\s+|[-\s]+){_WORD_OF_NUMBER})*(?![\w-])", re.I
)
_PARTS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
_PART_IN_WORDS = re.compile(
    rf"(?:(?P<above>an?|one|two|three)[-\s]+|(?=half|halve|quarter))(?P<below>{'|'.join(_PARTS)})s?(?:\s+(?:of\s+)?(?:an?|the)\b)?(?![\w-])\s*",
    re.I,
)
_AND_PART = re.compile(
    rf"(?P<whole>\d{{1,9}})\s+and\s+(?P<above>an?|one|two|three)[-\s]+(?P<below>{'|'.join(_PARTS)})s?(?![\w-])\s*", re.I
)
_DECADE = re.compile(r"\d{3}0'?s")
_NUMBER_IN_NOUN = re.compile(r"\d")
_BETWEEN_PARTS = re.compile(r"\s*(?:,\s*and|,|\band\b)\s*(?=\d)|(?<=[A-Za-z.])\s+(?=\d)")
_MOST_PARTS = 4
_FRACTION_SIGNS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅕": "1/5", "⅛": "1/8"}
_SPACES_IN_NUMBER = re.compile("(?<=\\d)(?:\\\\[,;!]|[\u00a0\u2009\u202f])(?=\\d{3}(?!\\d))|(?<=\\d) (?=000(?!\\d))")
_ZERO_COMMA = re.compile(r"(?<![\d.,])0,(?=\d)")  # a decimal comma: no number of thousands begins with 0
_PRICE_COMMA = re.compile(r"(?<![\d.,])(\d{1,9}),(\d\d)(?=\s?(?:[€$£]|euros?\b))")  # 2,74 €
_NUMBER_IN_DOLLARS = re.compile(r"(?<!\\)\$[ ]?((?:\\\$)?-?(?:\d[\d,.]*+)(?<![,.]))[ ]?\$(?!\d)")
_REPEATING = re.compile(r"(?<![\d.,])(\d{0,15})\.(\d{0,15})\\(?:overline|bar|dot)\s*\{(\d{1,15})\}")  # 0.1\overline{6}
_NUMERIC_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(\d[\d,.]*)\s*\}\s*\{\s*(\d[\d,.]*)\s*\}|\\[dt]?frac\s*(\d)\s*(\d)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was written, with its unit."""

    number: Fraction
    decimals: int | None  # digits after the point; None: exact, written as a fraction
    unit: Unit | None = None
    noun: str = ""  # other words behind the number, in lower case


def read_quantity(answer: str) -> Quantity | None:
    r"""A number with or without unit, if that is all the answer is; None otherwise.

    Understands `1,250`, `-3.5`, `$4.50`, `25%`, `3/4`, `1 1/2`, `\frac{3}{4}`, `42\text{ km}`, `2 million`, `1e3`,
    `3 × 10^8 m/s`, `one hundred and twenty`, `half an hour`, `1 hour 15 minutes`, `42 apples left`. A letter that is no
    unit is a variable: `5x` is not a quantity.
    """
    if len(answer) > LONGEST_FINAL:
        return None
    plain = _digits(plain_numbers(answer).strip().rstrip("."))
    if _DECADE.fullmatch(plain) or plain.startswith("0x"):
        return None
    if _GROUPED_BY_SPACES.fullmatch(plain):
        plain = plain.replace(" ", "")
    whole = _single_quantity(plain)
    if whole is not None and not _NUMBER_IN_NOUN.search(whole.noun):
        return whole
    parts = [_single_quantity(part.strip()) for part in _BETWEEN_PARTS.split(plain)]
    return _sum(parts) if 1 < len(parts) <= _MOST_PARTS else None


def _sum(parts: Sequence[Quantity | None]) -> Quantity | None:
    """One quantity in parts of one kind, the largest unit first: 1 hour 15 minutes; None where they are none."""
    total = None
    for part in parts:
        if part is None or part.unit is None or part.noun or part.number < 0:
            return None
        if total is None:
            total, smallest = part, part.unit
            continue
        if part.unit.dimension != smallest.dimension or part.unit.size >= smallest.size:
            return None
        number = (total.number * total.unit.size + part.number * part.unit.size) / part.unit.size  # type: ignore[union-attr]
        total, smallest = Quantity(number, part.decimals, part.unit), part.unit
    return total


def _single_quantity(plain: str) -> Quantity | None:
    match = _QUANTITY.fullmatch(plain)
    if match is None:
        return None
    value = _fraction(match["number"], match["below"], match["whole"])
    if value is None:
        return None
    words = (match["unit"] or "").strip(" \t-.,'()")
    scale, _, behind = words.partition(" ")
    exact = bool(match["below"] or match["exponent"] or match["power"])
    if scale.casefold() in _SCALES_BEHIND:
        value, words, exact = value * _SCALES_BEHIND[scale.casefold()], behind, True
    if match["exponent"] or match["power"]:
        value *= Fraction(10) ** int(match["exponent"] or match["power"])
    if "-" in (match["sign"], match["sign2"]):
        value = -value
    unit, noun = read_unit(f"{match['currency'] or ''} {words}".strip())
    if unit is None and (words.startswith("/") or (len(words) == 1 and words.isalpha())):
        return None
    if unit is None and (match["unit"] or "")[:1].isalpha() and len(words) <= 3 and _noun(noun):
        return None  # 2ab
    _, point, decimals = match["number"].partition(".")
    return Quantity(value, None if exact else len(decimals) if point else 0, unit, _noun(noun))


def _noun(words: str) -> str:
    words = " ".join(words.casefold().removeprefix("of ").split())
    return "" if words in ("st", "nd", "rd", "th") else words


def _digits(plain: str) -> str:
    """A text that begins with a number in words, with the number in digits: `half an hour` -> `1/2 hour`."""
    part = _PART_IN_WORDS.match(plain)
    if part:
        return f"{_part_above(part)}/{_PARTS[part['below'].casefold().rstrip('s')]} {plain[part.end() :]}".strip()
    spelled = _SPELLED.match(plain)
    if spelled:
        plain = f"{_spelled_value(spelled[0])} {plain[spelled.end() :].lstrip()}".strip()
    mixed = _AND_PART.match(plain)
    if mixed:
        below = _PARTS[mixed["below"].casefold().rstrip("s")]
        return f"{mixed['whole']} {_part_above(mixed)}/{below} {plain[mixed.end() :]}".strip()
    return plain


def _part_above(part: re.Match[str]) -> int:
    return {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}[(part["above"] or "a").casefold()]


def _spelled_value(text: str) -> int:
    """The value of number words: `one hundred and twenty`, `twenty-five thousand`."""
    total = group = 0
    for word in re.findall(r"[a-z]+", text.casefold()):
        if word in ("and", "a"):
            group = max(group, 1) if word == "a" else group
        elif word == "hundred":
            group = max(group, 1) * 100
        elif word in SCALES:
            total, group = total + max(group, 1) * SCALES[word], 0
        else:
            group += _NUMBER_WORDS[word]
    return total + group


def plain_numbers(text: str) -> str:
    """A text's numbers in plain writing: signs, thin spaces, LaTeX fractions, percent and currency signs."""
    if not text.isascii():
        for sign, fraction in _FRACTION_SIGNS.items():
            text = text.replace(sign, f" {fraction}")
        text = text.replace("\u2212", "-").replace("\u2044", "/")
    text = _SPACES_IN_NUMBER.sub("", text)
    text = _ZERO_COMMA.sub("0.", text)
    text = _PRICE_COMMA.sub(r"\1.\2", text)
    text = _NUMBER_IN_DOLLARS.sub(r"\1", text)
    if "\\" not in text:
        return text
    text = _REPEATING.sub(lambda m: f" {_repeating(m[1] + m[2], m[3], len(m[2]))}", text)
    text = text.replace("{,}", ",").replace("\\!", "")
    text = _NUMERIC_FRACTION.sub(lambda m: f" {m[1] or m[3]}/{m[2] or m[4]}", text)
    text = TEXT_COMMAND.sub(r" \1", text)
    for command, plain in (
        (r"\$", "$"),
        (r"\%", "%"),
        (r"^\circ", "°"),
        (r"^{\circ}", "°"),
        (r"\left", ""),
        (r"\right", ""),
        (r"\times", "×"),
        (r"\cdot", "·"),
    ):
        text = text.replace(command, plain)
    return re.sub(r"\\[,;:! ]|~", " ", text)


def _repeating(digits: str, period: str, decimals: int) -> str:
    """The fraction of a number whose last digits repeat: `0.1` and `6` are 15/90."""
    above = int(digits + period) - int(digits or "0")
    return f"{above}/{10**decimals * (10 ** len(period) - 1)}"


def _fraction(number: str, below: str | None, whole: str | None) -> Fraction | None:
    if max(len(number), len(below or ""), len(whole or "")) > LONGEST_FINAL:
        return None
    value = Fraction(number.replace(",", ""))
    if below:
        divisor = Fraction(below.replace(",", ""))
        if divisor == 0:
            return None
        value /= divisor
    return value + int(whole) if whole else value


def currency_before(text: str) -> str:
    """The currency sign that a text ends with, of the number behind it; empty where there is none."""
    sign = text.rstrip()[-1:]
    return sign if sign in _CURRENCIES else ""


def spelled_number(match: re.Match[str]) -> int:
    """The value of a match of `NUMBER_WORD`."""
    if match[3]:
        return _NUMBER_WORDS[match[3].casefold()]
    return _NUMBER_WORDS[match[1].casefold()] + _NUMBER_WORDS[match[2].casefold()]


def numbers_in(text: str) -> Iterator[tuple[Fraction, str]]:
    """Every number of a text as (value, text), whole tokens in digits, in order."""
    for match in _NUMBER_TOKEN.finditer(text):
        value = _fraction(match["number"], match["below"], match["whole"])
        if value is not None:
            yield (-value if match["sign"] else value), match[0].strip()
