"""Comparing answers that are words or code."""

import re
from difflib import SequenceMatcher

from assets.answers.verdict import Verdict, verdict

SHORT_TEXT = 3  # words; two different proper names are different answers up to this length
_WORD = re.compile(r"\w+(?:[.:/'-]\w+)*")
_ARTICLE = re.compile(r"(?<![\w\\])(?:a|an|the)\s+(?=\w)")
_NEGATION = re.compile(r"\b(?:not|no|non|never|neither|nor|false|without|except)\b|n't\b", re.IGNORECASE)
_BOUND = re.compile(
    r"\b(?:at (?:least|most)|(?:less|more|fewer|greater) than|over|under|up to|between|or (?:more|less|fewer))\b",
    re.IGNORECASE,
)
_SAME_SPELLING = 0.85  # similarity of two names from which on one may be a misspelling
_OPPOSITE_WORDS = """
    positive/negative true/false yes/no increase/decrease increases/decreases increasing/decreasing rise/fall
    profit/loss gain/loss even/odd left/right north/south east/west more/less above/below before/after hot/cold
    acute/obtuse clockwise/counterclockwise maximum/minimum max/min up/down entailment/contradiction
    rational/irrational convergent/divergent converges/diverges possible/impossible early/late ahead/behind
    bc/ad bce/ce
"""
_OPPOSITES = [frozenset(pair.split("/")) for pair in _OPPOSITE_WORDS.split()]
_OTHER_PLACE = {"new", "north", "south", "east", "west", "san", "saint", "st", "upper", "lower", "great"}
_CODE_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|--?[A-Za-z][\w-]*|\w+|\+\+|--|[=!<>]=|&&|\|\||\S")
_COMMUTATIVE = {"==", "!=", "+", "*", "&&", "||", "and", "or"}


def same_text(left: str, right: str) -> bool:
    """Equal but for case, articles, punctuation and spaces; signs that change the sense count."""
    return _words(left) == _words(right) != [] and _operators(left) == _operators(right)


def opposite(left: str, right: str) -> bool:
    """Whether one text has a word where the other has its opposite: `3 m above`, `3 m below`."""
    if _NEGATION.search(left) or _NEGATION.search(right):
        return False
    words = set(_words(left)), set(_words(right))
    return any(
        len(pair & words[0]) == 1 and len(pair & words[1]) == 1 and pair & words[0] != pair & words[1]
        for pair in _OPPOSITES
    )


def negated(text: str) -> bool:
    """Whether a text denies something."""
    return bool(_NEGATION.search(text))


def bounded(text: str) -> bool:
    """Whether a text states a bound in words, and no value: `at least 5`, `5 or more`."""
    return bool(_BOUND.search(text))


def compare_texts(given: str, reference: str) -> Verdict:
    """Right where one proper name contains the other, wrong for opposites and for different short proper names."""
    left, right = _words(given), _words(reference)
    if opposite(given, reference):
        return "wrong"
    if not left or not right or any("\\" in text or _operators(text) for text in (given, reference)):
        return "unknown"
    if _initials(given) == reference.replace(".", "") or _initials(reference) == given.replace(".", ""):
        return "right"
    if negated(given) != negated(reference):
        return "unknown"
    names = _is_name(given), _is_name(reference)
    extra = set(left) ^ set(right)
    if extra & (_OTHER_PLACE | {"and", "or"}):
        return "unknown"  # York and New York, Ann and "Ann and Ben"
    if _contains(left, right) and names[0 if len(left) < len(right) else 1] and not re.search(r"\d", given + reference):
        return "right"
    short = max(len(left), len(right)) <= SHORT_TEXT
    misspelled = SequenceMatcher(None, given.casefold(), reference.casefold()).ratio() > _SAME_SPELLING
    return "wrong" if short and all(names) and set(left).isdisjoint(right) and not misspelled else "unknown"


def compare_growth(given: str, reference: str) -> Verdict | None:
    """`O(n log n)` and `O(n^2)`: right where the same is in the brackets, else wrong; None for other texts."""
    inside = [re.fullmatch(r"[$`]*\\?[OΘΩ]\s*\((.{1,40})\)[$`]*", text) for text in (given, reference)]
    if not all(inside):
        return None
    plain = [
        re.sub(r"[\s\\*{}]", "", match[1].replace("²", "^2").replace("³", "^3")).casefold() for match in inside if match
    ]
    return verdict(plain[0] == plain[1])


def looks_like_code(text: str) -> bool:
    """Whether a text has signs of code, and is no plain number."""
    return bool(re.search(r"[=(){}\[\];`<>|&!+*]|--|\w\.\w|\s-\w|\s[-/%]\s", text)) and not re.fullmatch(
        r"[\d.,$€£%\s-]+", text
    )


def compare_code(given: str, reference: str) -> Verdict:
    """Right for the same tokens whatever the quotes and spaces; wrong where one operator or option differs."""
    if (growth := compare_growth(given, reference)) is not None:
        return growth
    left, right = _code_tokens(given), _code_tokens(reference)
    if left == right:
        return "right"
    if len(left) != len(right):
        return "unknown"
    if sorted(left) == sorted(right):
        return "unknown" if _COMMUTATIVE & set(left) else "wrong"
    different = [pair for pair in zip(left, right, strict=True) if pair[0] != pair[1]]
    operators = all(re.fullmatch(r"\W+|--?[A-Za-z][\w-]*", token) for pair in different for token in pair)
    return "wrong" if len(different) == 1 and operators else "unknown"


def _code_tokens(text: str) -> list[str]:
    found = _CODE_TOKEN.findall(text.strip("`$ "))
    return [token[1:-1] if token[:1] in "\"'" and len(token) > 1 else token for token in found]


def _is_name(text: str) -> bool:
    """Whether a text is a proper name: each word but articles and "of" with a capital; no abbreviation."""
    words = re.findall(r"[^\W\d_][\w'.-]*", text)
    words = [word for word in words if word.casefold() not in ("a", "an", "the", "of", "and")]
    return bool(words) and all(word[0].isupper() and not word.isupper() for word in words)


def _initials(text: str) -> str | None:
    """`New York City` -> `NYC`; None for fewer than three words."""
    words = re.findall(r"[^\W\d_]+", text)
    return "".join(word[0] for word in words if word[0].isupper()) if len(words) >= 3 else None


def _contains(left: list[str], right: list[str]) -> bool:
    """Whether the shorter of two word lists stands in the longer one, in a row."""
    short, long = sorted((left, right), key=len)
    return any(long[start : start + len(short)] == short for start in range(len(long) - len(short) + 1))


def _words(text: str) -> list[str]:
    return _WORD.findall(_ARTICLE.sub("", text.casefold()))


def _operators(text: str) -> str:
    """The signs that change what a text says: `-5` is not `5`, `x > 3` is not `x < 3`, `€20` is not `$20`."""
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", "", text.casefold())
    return "".join(re.findall(r"[-+*^<>=≤≥√\[\]{}€£¥₹!²³:|&]|\\\\|(?<![\w])/", text))
