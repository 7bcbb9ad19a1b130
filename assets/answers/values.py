"""Values that are neither plain numbers nor formulas: labels, yes and no, clock times, dates, ratios, lists, names."""

import re
from dataclasses import dataclass
from fractions import Fraction

_BARE_LABEL = re.compile(r"([A-J])|[\[(]([A-Ja-j])[\])]|([A-J])[).:]|(?:[Oo]ption|[Cc]hoice)\s+[\[(]?([A-Ja-j])[\])]?")
_LABELLED = re.compile(r"(?:[\[(]([A-Ja-j])[\])]|([A-J])[).:])\s+(\S.*)", re.DOTALL)
_LABELS = re.compile(r"[\[(]?([A-J])[\])]?(?:\s*(?:,\s*and|,|and|&)\s*[\[(]?([A-J])[\])]?)+")
_TRUTHS = {"yes": True, "true": True, "no": False, "false": False}
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = _MONTH_NAMES.split()
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" if len(month) > 3 else month for month in _MONTHS)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    re.compile(rf"(?P<month>{_MONTH})\.?\s+{_DAY}(?:\s*,?\s+(?P<year>\d{{4}}))?", re.IGNORECASE),
    re.compile(rf"{_DAY}\s+(?:of\s+)?(?P<month>{_MONTH})\.?(?:\s*,?\s+(?P<year>\d{{4}}))?", re.IGNORECASE),
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"),
    re.compile(rf"(?P<month>{_MONTH})\.?,?\s+(?:of\s+)?(?P<year>\d{{4}})(?P<day>)", re.IGNORECASE),
)
_CLOCK = re.compile(
    r"(?:at\s+)?(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?\s*"
    r"(?P<half>a\.?m\.?|p\.?m\.?|noon|midnight|o'?clock)?"
    r"(?:\s+(?:in the|at)\s+(?P<part>morning|afternoon|evening|night))?",
    re.IGNORECASE,
)
_HALVES = {"a": 0, "p": 12}
_BEFORE_DATE = re.compile(r"(?:on\s+|in\s+)?(?:the\s+)?", re.IGNORECASE)
_HOUR_IN_WORDS = re.compile(
    r"(?:(?P<half>half past)|(?P<quarter>quarter|\d{1,2}(?: minutes)?) (?P<side>past|to)) (?P<hour>[a-z]+|\d{1,2})"
    r"(?P<behind>.*)",
    re.IGNORECASE,
)
_HOURS = "zero one two three four five six seven eight nine ten eleven twelve"
_AROUND_RATIO = re.compile(r"(?:(?:a|the|in a)\s+)?ratio\s+(?:of|is)\s+|\s+ratio\Z", re.IGNORECASE)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+|\d+(?:\.\d+)?(?:\s+to\s+\d+(?:\.\d+)?)+")
_NONE_EXISTS = re.compile(
    r"(?:there\s+(?:is|are)\s+)?no\s+(?:real\s+|integer\s+)?(?:solutions?|answers?|roots?)(?:\s+exists?)?", re.I
)
_INFINITE = re.compile(r"(?:there\s+are\s+)?infinite(?:ly\s+many)?\s+(?:solutions?|answers?|roots?)", re.I)
_NAMED = re.compile(r"\$?\s*(?P<name>[A-Za-z][\w ]{0,30}?(?:_\{?\w+\}?)?)\s*(?:=|:|\bis\b)\s*(?P<value>[^=:]+)")
_SEPARATOR = re.compile(r"\s*(?:;|,\s*(?:and|or)\b|,|\b(?:and|or)\b|\\text\s*\{\s*(?:and|or)\s*\})\s*", re.IGNORECASE)
_THOUSANDS_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MOST_ITEMS = 12


@dataclass(frozen=True, slots=True)
class Items:
    """Several values, as (name, value) with an empty name where there is none.

    `ordered`: they stand in parentheses, as the coordinates of a point do.
    """

    items: tuple[tuple[str, str], ...]
    ordered: bool = False

    @property
    def names(self) -> list[str]:
        """The names, in order, without empty ones."""
        return [name for name, _ in self.items if name]

    @property
    def named(self) -> bool:
        """Whether each value has a name of its own; `x = 2 or x = 3` gives two values of one name."""
        return len(set(self.names)) == len(self.items)


def option_label(answer: str) -> tuple[str | None, str]:
    """The option's label and the content beside it: `(B) 42` -> ("B", "42"); without a label (None, answer)."""
    bare = _BARE_LABEL.fullmatch(answer)
    if bare:
        return next(group for group in bare.groups() if group).upper(), ""
    labelled = _LABELLED.fullmatch(answer)
    if labelled:
        return (labelled[1] or labelled[2]).upper(), labelled[3]
    return None, answer


def option_labels(answer: str) -> frozenset[str] | None:
    """Several labels, `A and C`; None where the answer is something else."""
    return frozenset(re.findall(r"\b[A-J]\b", answer)) if _LABELS.fullmatch(answer) else None


def truth(answer: str) -> bool | None:
    """Yes or no, also as the first word of a sentence ("Yes, it is."); None where the answer is something else."""
    first = re.match(r"[A-Za-z]+(?=,|\Z)", answer)
    return _TRUTHS.get(first[0].casefold()) if first else None


def number_of_solutions(answer: str) -> str | None:
    """`none` or `infinite`, where the answer says so."""
    if _NONE_EXISTS.fullmatch(answer):
        return "none"
    return "infinite" if _INFINITE.fullmatch(answer) else None


def clock_time(answer: str) -> tuple[int, bool] | None:
    """Minutes after midnight, and whether the half of the day is stated; None for what is no time of the day."""
    bare = _hour_in_digits(answer.strip().casefold())
    if bare in ("noon", "midnight"):
        return (720 if bare == "noon" else 0), True
    match = _CLOCK.fullmatch(bare)
    if match is None or not (match["minute"] or match["half"] or match["part"]):
        return None
    hour, minute, half = int(match["hour"]), int(match["minute"] or 0), (match["half"] or "")[:1]
    if hour > 23 or minute > 59:
        return None
    if match["half"] in ("noon", "midnight"):
        return (720 if half == "n" else 0) + minute, True
    if match["part"]:
        half = "a" if match["part"] == "morning" else "p"
    if half in _HALVES:
        return (hour % 12 + _HALVES[half]) * 60 + minute, True
    return hour * 60 + minute, hour > 12


def _hour_in_digits(text: str) -> str:
    """`quarter to five` -> `4:45`; other texts as they are."""
    match = _HOUR_IN_WORDS.fullmatch(text.removeprefix("a "))
    hours = _HOURS.split()
    if match is None or not (match["hour"].isdigit() or match["hour"] in hours):
        return text
    hour = int(match["hour"]) if match["hour"].isdigit() else hours.index(match["hour"])
    minutes = 30 if match["half"] else 15 if match["quarter"] == "quarter" else int(match["quarter"].split()[0])
    hour, minutes = ((hour - 2) % 12 + 1, 60 - minutes) if match["side"] == "to" else (hour, minutes)
    return f"{hour}:{minutes:02}{match['behind']}"


def date(answer: str) -> tuple[int | None, int, int | None] | None:
    """(year, month, day), None for what is not stated; None for what is no date, as 3/4/2021 with its two readings."""
    for pattern in _DATES:
        if match := pattern.fullmatch(_BEFORE_DATE.sub("", answer.strip())):
            month = match["month"]
            number = int(month) if month.isdigit() else 1 + [name[:3] for name in _MONTHS].index(month[:3].casefold())
            year, day = (int(match[part]) if match[part] else None for part in ("year", "day"))
            return year, number, day
    return None


def ratio(answer: str) -> tuple[Fraction, ...] | None:
    """The parts of `3:2`, `3 to 2`, `1:2:3`, divided by the first; None for what is no ratio."""
    answer = _AROUND_RATIO.sub("", answer.strip())
    if not _RATIO.fullmatch(answer):
        return None
    parts = [Fraction(part) for part in re.findall(r"\d+(?:\.\d+)?", answer)]
    return tuple(part / parts[0] for part in parts) if parts[0] else None


def read_items(answer: str) -> Items | None:
    r"""The values of a list, a set, a tuple or several equations: `2, 3`, `{2, 3}`, `(5, 3)`, `x=5, y=3`.

    None where the answer is one value, an interval, or too long a list.
    """
    text, ordered = answer.strip(), False
    for opening, closing in ((r"\{", r"\}"), ("{", "}"), ("(", ")")):
        inside = text[len(opening) : len(text) - len(closing)]
        if text == f"{opening}{inside}{closing}" and not set("(){}[]") & set(inside):
            text, ordered = inside, opening == "("
            break
    found = tuple(named_value(part) for part in _split(text))
    if not 1 < len(found) <= _MOST_ITEMS or not all(value for _, value in found):
        return None
    return Items(found, ordered)


def named_value(part: str) -> tuple[str, str]:
    """A value and its name in lower case, which is empty where there is none: `Mary: 15` -> ("mary", "15")."""
    match = _NAMED.fullmatch(part.strip())
    if match and not match["name"].strip().isdigit():
        return match["name"].strip().casefold(), match["value"].strip(" $")
    return "", part.strip()


def _split(text: str) -> list[str]:
    """The parts between commas, "and" and "or"; nothing is split in brackets, and thousands keep their comma."""
    if set("(){}[]") & set(text):
        return [text]
    text = _THOUSANDS_COMMA.sub("\0", text.replace("$", "") if text.count("$") >= 2 else text)
    return [part.replace("\0", ",").strip() for part in _SEPARATOR.split(text) if part.strip()]
