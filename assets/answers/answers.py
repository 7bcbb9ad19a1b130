r"""Reading a final answer out of text, and comparing two.

A final answer is what stands behind a marker: `#### 42`, `\boxed{42}`, "The answer is 42", a closing `[B]`. Without
one only mathematics is read further, and only where the text leaves no doubt. Comparing never guesses either: what
cannot be decided by rule is `unknown`. Texts come from models and are untrusted: every step is linear in their length
or bounded, and nothing is evaluated beyond what `_symbolic_text` lets through.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from assets.answers.formulas import equal_formulas

Verdict = Literal["right", "wrong", "unknown"]

READ_AT_MOST = 20_000  # characters from the end of a text: a final answer stands there
LONGEST_FINAL = 200  # characters; what is longer is an explanation

# -- reading -----------------------------------------------------------------------------------------------------------

_CALCULATOR_NOTE = re.compile(r"<<[^<>\n]*>>")  # GSM8K writes 3*4=<<3*4=12>>12
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_HASHES = re.compile(r"(?:^|(?<=\s))####[ \t]+(?=\S)", re.MULTILINE)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)")
_PHRASE = re.compile(
    r"\b(?:final[ ]+(?:answer|result)|answer|(?:correct|right|best)[ ]+(?:option|choice))\b[*_`\"']{0,4}"
    r"(?:[ ]+(?:to|for)[ ][^.:=\n]{1,80}?)?"
    r"(?:[ ]+(?:is|are|was|would be|will be|should be)\b[ ]*:?|[ ]*[:=])[*_]{0,4}",
    re.IGNORECASE,
)
_OPENS_SENTENCE = re.compile(
    r"(?:\A|[.!?:\n])[\s*_>]*(?:(?:so|thus|hence|then|therefore|and)\b,?\s+)?(?:(?:the|my|your|our)\s+)?"
    r"(?:(?:correct|right|final)\s+)?\Z",
    re.IGNORECASE,
)
_FINAL_HEADING = re.compile(r"^[#*_ \t]*final answer[*_ \t]*$", re.IGNORECASE | re.MULTILINE)
_CLOSING_LABEL = re.compile(r"(?:^|(?<=\s))[*_]{0,2}\[([A-J])\][*_.\s]*\Z")
_END_OF_ANSWER = re.compile(r"[.!?](?=[*_\"')\]$]*(?:\s|\Z))|;\s|,?\s(?:because|since|which|where)\s", re.IGNORECASE)
_FILLER = re.compile(r"(?:(?:that|thus|therefore|simply|just|now|indeed|also|still|then)\b[, ]*)+", re.IGNORECASE)
_NOT_AN_ANSWER = re.compile(r"(?:not|wrong|incorrect|correct|right|given|in|on|as|below|above)\b", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|altogether|in total|total of|in conclusion|finally)\b", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"\n+|(?<=[.!?])\s+")


def read_final(text: str, domain: str) -> str | None:
    r"""The final answer that a text states, cleaned of punctuation and markup, its unit kept; None where none is.

    Markers, of which the last in the text counts: `#### 42` (on the last line, or anywhere with a number), `\boxed{…}`,
    "the answer is …", "final answer: …", "the correct option is …", a heading "Final answer" with the next line, and a
    closing label `[B]`. In code and general text fenced code is skipped, and only markers count.

    In mathematics (`domain` "math") a text without a marker is read where it is safe: a text that is nothing but a
    quantity; the right side of the last sentence's last equation, if it is a number and none follows; or the only
    number of a last sentence that draws a conclusion ("So there are 12 apples left.").

    Example:
        >>> read_final("6 * 7 = 42. The answer is 42 apples.", "math")
        '42 apples'
    """
    text = _answering_part(text, domain)
    marked = _read_marked(text)
    if marked is None and domain == "math":
        return _read_conclusion(text)
    return marked


def stated_answers(text: str) -> list[str]:
    """Every answer that a sentence of its own states ("The answer is 7."), in order; those of others are left out.

    "Anna says that the answer is 6" is no statement of the speaker's, "The answer is right" is no answer.
    """
    return [answer for start, answer in sorted(_phrase_answers(text)) if _OPENS_SENTENCE.search(text[:start])]


def tells_result(text: str, reference_final: str | None, known: str) -> bool:
    """Whether a teacher's words tell the result: they state an answer, or name a result that `known` does not hold.

    Args:
        text: the teacher's own words.
        reference_final: the result; None where there is none to look for.
        known: what everybody has read before: the question, what the student said.
    """
    if stated_answers(text):
        return True
    return mentions_result(text, reference_final) and not mentions_result(known, reference_final)


def _answering_part(text: str, domain: str) -> str:
    text = text[-READ_AT_MOST:]
    return _CALCULATOR_NOTE.sub("", text) if domain == "math" else _FENCED.sub("\n", text)


def _read_marked(text: str) -> str | None:
    found = sorted((*_hash_answers(text), *_boxed_answers(text), *_phrase_answers(text)), key=lambda item: item[0])
    label = _CLOSING_LABEL.search(text)
    if label:
        return label[1]
    return found[-1][1] if found else None


def _hash_answers(text: str) -> Iterator[tuple[int, str]]:
    for match in _HASHES.finditer(text):
        line, _, rest = text[match.end() :].partition("\n")
        answer = _clean(line)
        if 0 < len(answer) <= LONGEST_FINAL and (not rest.strip() or read_quantity(answer)):
            yield match.start(), answer


def _boxed_answers(text: str) -> Iterator[tuple[int, str]]:
    for match in _BOXED.finditer(text):
        content = _braced(text, match.end())
        if content is not None and content.strip():
            yield match.start(), _clean(content)


def _braced(text: str, start: int) -> str | None:
    """What stands between the brace at `start` and its partner, at most `LONGEST_FINAL` characters on."""
    depth = 0
    for position in range(start, min(len(text), start + LONGEST_FINAL + 2)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : position]
    return None


def _phrase_answers(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (_PHRASE, _FINAL_HEADING):
        for match in pattern.finditer(text):
            rest = text[match.end() : match.end() + 4 * LONGEST_FINAL].lstrip(" \t*_:")
            line = rest.lstrip().partition("\n")[0].strip()
            line = _FILLER.sub("", line, count=1) if _FILLER.match(line) else line
            boxed = _BOXED.search(line)
            if boxed or not line or _NOT_AN_ANSWER.match(line):
                continue
            answer = _clean(_END_OF_ANSWER.split(line, maxsplit=1)[0])
            if 0 < len(answer) <= LONGEST_FINAL:
                yield match.start(), answer


def _read_conclusion(text: str) -> str | None:
    whole = _clean(text[:LONGEST_FINAL]) if len(text.strip()) <= LONGEST_FINAL else ""
    if len(whole.split()) <= 4 and read_quantity(whole):
        return whole
    sentences = [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence.strip()]
    if not sentences:
        return None
    last = sentences[-1]
    _, equals, right_side = last.rpartition("=")
    if equals:
        right_side = _clean(right_side)
        return right_side if read_quantity(right_side) else None
    numbers = {number for number, _ in _numbers(_plain(last))}
    if len(numbers) == 1 and _CONCLUSION.search(last):
        return _number_text(last)
    return None


def _number_text(sentence: str) -> str | None:
    found = [text for _, text in _numbers(_plain(sentence))]
    return found[-1] if found else None


_WRAPPINGS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ('"', '"'), ("'", "'"), ("“", "”"))
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")


_TRAILING = re.compile(r"(?:[.,;:\s]|(?<![)}\]!])!)+\Z")  # (n + 1)! is a factorial


def _clean(answer: str) -> str:
    """An answer without the markup and punctuation around it; `$42` keeps its currency, `$42$` does not."""
    previous = None
    while answer != previous:
        previous = answer
        answer = answer.strip().strip("*`").strip().lstrip(":")
        answer = _TRAILING.sub("", answer).strip()
        for opening, closing in _WRAPPINGS:
            inside = answer[len(opening) : len(answer) - len(closing)]
            if inside and answer == opening + inside + closing and opening not in inside and closing not in inside:
                answer = inside
        box = _BOXED.match(answer)
        if box:
            answer = _braced(answer, box.end()) or answer
        text_command = _TEXT_COMMAND.fullmatch(answer)
        if text_command:
            answer = text_command[1]
    return answer


# -- numbers and quantities --------------------------------------------------------------------------------------------

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
_NUMBER_WORD = re.compile(
    r"(?<![\w-])(?:(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[- ](one|two|three|four|five|six|seven|eight"
    rf"|nine)|({'|'.join(_NUMBER_WORDS)}))(?![\w-])",
    re.IGNORECASE,
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
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
    plain = _plain(answer).strip().rstrip(".")
    spelled = _NUMBER_WORD.match(plain)
    if spelled:
        plain = f"{_spelled_number(spelled)}{plain[spelled.end() :]}"
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
    scale = first if first in _SCALES else (rest.split(" ")[0] if match["currency"] else "")
    if scale in _SCALES:
        value *= _SCALES[scale]
        unit = " ".join(word for word in unit.split() if word != scale)
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    if len(unit) == 1 and unit.isalpha() and unit not in _MEASURES:
        return None
    if "-" in (match["sign"], match["sign2"]):
        value = -value
    _, point, decimals = match["number"].partition(".")
    exact = bool(match["below"] or scale in _SCALES or match["exponent"])
    return Quantity(value, None if exact else len(decimals) if point else 0, _singular(unit))


def _singular(unit: str) -> str:
    unit = {"percent": "%", "per cent": "%", "degrees": "°", "degree": "°"}.get(unit, unit)
    first = unit.split(" ")[0].removesuffix(".")
    for name in (unit, unit.removesuffix("s"), first, first.removesuffix("s")):
        if name in _MEASURES or name == "%":
            return name
    return unit


def _plain(text: str) -> str:
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
    text = _TEXT_COMMAND.sub(r" \1", text)
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


def _spelled_number(match: re.Match[str]) -> int:
    if match[3]:
        return _NUMBER_WORDS[match[3].casefold()]
    return _NUMBER_WORDS[match[1].casefold()] + _NUMBER_WORDS[match[2].casefold()]


def _numbers(text: str) -> Iterator[tuple[Fraction, str]]:
    """Every number of a text as (value, text), whole tokens in digits, in order."""
    for match in _NUMBER_TOKEN.finditer(text):
        value = _fraction(match["number"], match["below"], match["whole"])
        if value is not None:
            yield (-value if match["sign"] else value), match[0].strip()


# -- comparing ---------------------------------------------------------------------------------------------------------

_BARE_LABEL = re.compile(r"([A-J])|[\[(]([A-Ja-j])[\])]|([A-J])[).:]|(?:[Oo]ption|[Cc]hoice)\s+[\[(]?([A-Ja-j])[\])]?")
_LABELLED = re.compile(r"(?:[\[(]([A-Ja-j])[\])]|([A-J])[).:])\s+(\S.*)", re.DOTALL)
_ASSIGNMENT = re.compile(r"\s*[A-Za-z](?:_\{?\w\}?)?\s*=\s*([^=]+)")
_YES = {"yes": True, "true": True, "no": False, "false": False}
_WORD = re.compile(r"\w+(?:[.:/'-]\w+)*")
_SHORT_TEXT = 3  # words up to which two texts without a word in common are two different answers
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
    given, reference = _clean(given or ""), _clean(reference or "")
    if not given or not reference:
        return "unknown"
    if _same_text(given, reference):
        return "right"
    if max(len(given), len(reference)) > LONGEST_FINAL:
        return "unknown"
    given_label, given_content = _label(given)
    reference_label, reference_content = _label(reference)
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
        given, reference = _right_side(given), _right_side(reference)
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
    short = max(len(_words(given)), len(_words(reference))) <= _SHORT_TEXT
    plain = not any("\\" in text or _operators(text) for text in (given, reference))
    return "wrong" if different and short and plain and _words(given) and _words(reference) else "unknown"


def _verdict(equal: bool) -> Verdict:
    return "right" if equal else "wrong"


def _label(answer: str) -> tuple[str | None, str]:
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


def _right_side(answer: str) -> str:
    assignment = _ASSIGNMENT.fullmatch(answer)
    if assignment:
        return assignment[1].strip()
    _, equals, right_side = answer.rpartition("=")
    return right_side.strip() if equals and read_quantity(right_side) else answer


def _only_quantity(answer: str) -> Quantity | None:
    """The one number of a phrase, "a total of 42 apples"; not of a formula."""
    plain = _plain(answer)
    if "\\" in plain or re.search(r"[+*^=<>(){}]", plain):
        return None
    found = list(_numbers(plain))
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
    formula = _TEXT_COMMAND.sub("", answer) if not _TEXT_COMMAND.fullmatch(answer) else answer
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


# -- whole texts -------------------------------------------------------------------------------------------------------


def check_answer(text: str, reference_final: str | None, domain: str) -> Verdict:
    """Whether the final answer that a text arrives at is the reference's.

    With a marker (`read_final`) what stands behind it is compared. Without one, a short text is taken as the answer
    itself. In mathematics with a number as reference, the last sentence that holds a number is then the answer (small
    models end with "So there are 12 apples left."): right if its last number, or what stands behind its last equals
    sign, is the reference; unknown if it names the reference elsewhere ("12 apples are left after 4 were eaten");
    else wrong. Everything else is `unknown`.
    """
    if not reference_final:
        return "unknown"
    tail = _answering_part(text, domain)
    marked = _read_marked(tail)
    if marked is not None:
        return compare_final(marked, reference_final, domain)
    expected = read_quantity(_right_side(_clean(reference_final)))
    if domain == "math" and expected:
        return _check_last_number(tail, reference_final, expected)
    whole = _clean(text) if len(text) <= LONGEST_FINAL else ""
    if whole and len(whole.split()) <= 2 * _SHORT_TEXT:
        return compare_final(whole, reference_final, domain)
    return "unknown"


def _check_last_number(text: str, reference_final: str, expected: Quantity) -> Verdict:
    for sentence in reversed(_SENTENCE_END.split(text.strip())):
        numbers = list(_numbers(_plain(sentence)))
        if not numbers:
            continue
        after_equals = sentence.rpartition("=")[2] if "=" in sentence else ""
        results = [_read_conclusion(sentence), *(text for _, text in list(_numbers(_plain(after_equals)))[:1])]
        if any(compare_final(result, reference_final, "math") == "right" for result in (*results, numbers[-1][1])):
            return "right"
        named = expected.number in {number for number, _ in numbers}
        return "unknown" if named else compare_final(numbers[-1][1], reference_final, "math")
    return "unknown"


_LIST_NUMBER = re.compile(
    r"^[ \t]*[*#-]*[ \t]*\d+[.):](?=\s)|\b(?:step|question|part|round)[ ]+\d+\b", re.MULTILINE | re.I
)


def mentions_result(text: str, reference_final: str | None) -> bool:
    """Whether a text states the result, for "the teacher gave the result away".

    A number counts as a whole token whatever its writing (1,250 or 1250, `forty-two`), not as a list's or a step's
    number; a label where it is written as one (`[B]`, `(B)`, "option B", "answer is B"); other text as whole words.
    The question may hold the same number: ask the same of it.
    """
    reference = _clean(reference_final or "")
    if not reference:
        return False
    quantity = read_quantity(_right_side(reference))
    if quantity:
        plain = _plain(_LIST_NUMBER.sub(" ", text))
        spelled = {_spelled_number(match) for match in _NUMBER_WORD.finditer(plain)} - {1}  # "one" is mostly a pronoun
        return quantity.number in {number for number, _ in _numbers(plain)} | spelled
    label, content = _label(reference)
    if label:
        written = rf"[\[(]{label}[\])]|\b(?:option|choice|answer(?:[ ]+is)?:?)[ ]+{label}\b"
        return bool(re.search(written, text)) or bool(content and mentions_result(text, content))
    if not re.search(r"\w", reference):
        return False
    pattern = r"\s*".join(re.escape(part) for part in reference.casefold().split())
    return bool(re.search(rf"(?<!\w){pattern}(?!\w)", text.casefold()))
