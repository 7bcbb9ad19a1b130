"""The language of a text."""

import re
import unicodedata
from functools import cache
from typing import Any

from assets.framework.languages import ENGLISH, language_name

MIN_LETTERS = 60  # shorter texts ("x = 4, so Ann has 4") are too little to tell a language from
MIN_CONFIDENCE = 0.05  # of lingua's, among the languages below
FOREIGN_LETTERS_SHARE = 0.4
LONGEST = 20_000  # characters that are looked at
LANGUAGES = [
    "English",
    "Spanish",
    "French",
    "German",
    "Portuguese",
    "Italian",
    "Dutch",
    "Polish",
    "Turkish",
    "Indonesian",
    "Vietnamese",
    "Russian",
    "Chinese",
    "Japanese",
    "Korean",
    "Arabic",
    "Hindi",
]
"""Languages that models slip into; a source may have any language that lingua knows."""

_SCRIPTS = {  # the first word of their letters' names, besides Latin and Greek
    **{
        name: {"CYRILLIC"}
        for name in "RUSSIAN UKRAINIAN BELARUSIAN BULGARIAN MACEDONIAN SERBIAN KAZAKH MONGOLIAN".split()  # noqa: SIM905
    },
    **{name: {"ARABIC"} for name in ("ARABIC", "PERSIAN", "URDU")},
    **{name: {"DEVANAGARI"} for name in ("HINDI", "MARATHI")},
    "CHINESE": {"CJK"},
    "JAPANESE": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    "KOREAN": {"HANGUL", "CJK"},
    "PUNJABI": {"GURMUKHI"},
    **{name: {name} for name in ["ARMENIAN", "BENGALI", "GEORGIAN", "GUJARATI", "HEBREW", "TAMIL", "TELUGU", "THAI"]},
}

_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]+\$|\\\[.*?\\\]|\\\(.*?\\\)|https?://\S+|\"[^\"\n]*\"|“[^“”\n]*”",
    re.DOTALL,
)
_CODE_LINE = re.compile(
    r"[{};=<>|\\]|\w\(|^\s{4,}\S|^\s*(?:import|from|def|class|return|#include|//|#|--)\b", re.MULTILINE
)
_NAMES_A_LANGUAGE = re.compile(
    r"\b(?:translat\w+|"
    + "|".join(name for name in LANGUAGES if name != ENGLISH)
    + r"|Latin|Greek|Hebrew|Swedish|Mandarin|Cantonese|Ukrainian|Czech|Finnish|Danish|Norwegian|Thai|Persian|Urdu)\b"
)


def is_in_language(text: str, language: str = ENGLISH, task: str = "") -> bool:
    """Whether the prose of `text` is in a language; code, formulas, quotations and very short texts count as such.

    Text in another language is no fault where the task, or the text itself, names one ("the French translation is …"),
    or where the task itself is in another language.

    Args:
        text: the utterance.
        language: its English name, such as `German`.
        task: the question and its reference answer.

    Raises:
        ValueError: lingua does not know the language.
    """
    if _reads_as(text[:LONGEST], language):
        return True
    return _NAMES_A_LANGUAGE.search(f"{task} {text}"[: 2 * LONGEST]) is not None or not _reads_as(
        task[:LONGEST], language
    )


def likely_language(text: str) -> str | None:
    """The English name of the language of `LANGUAGES` that a text seems to be in; None where none is likely."""
    found = _detector(ENGLISH)[0].detect_language_of(" ".join(_NOT_PROSE.sub(" ", text[:LONGEST]).split()))
    return None if found is None else str(found.name).title()


def _reads_as(text: str, language: str) -> bool:
    lines = [line for line in _NOT_PROSE.sub(" ", text).splitlines() if not _CODE_LINE.search(line)]
    # Names of people, places and dishes are no sign of a language.
    prose = " ".join(word for line in lines for word in line.split() if not word[0].isupper())
    letters = [character for character in prose if character.isalpha()]
    detector, expected, own_script = _detector(language)
    foreign = sum(not (character.isascii() or _script(character) in own_script) for character in letters)
    if foreign >= 4 and foreign > FOREIGN_LETTERS_SHARE * len(letters):
        return False
    if len(letters) < MIN_LETTERS:
        return True
    return float(detector.compute_language_confidence(prose, expected)) >= MIN_CONFIDENCE


def _script(character: str) -> str:
    """`LATIN` of `é`: the first word of a character's name."""
    return unicodedata.name(character, "").partition(" ")[0]


@cache
def _detector(language: str) -> tuple[Any, Any, frozenset[str]]:
    """lingua's detector over the languages that models slip into (20 MB, 0.1 s), the language, and its scripts."""
    from lingua import Language, LanguageDetectorBuilder

    expected = Language.from_str(language_name(language))
    languages = {Language.from_str(name) for name in LANGUAGES} | {expected}
    detector = LanguageDetectorBuilder.from_languages(*languages).with_low_accuracy_mode().build()
    return detector, expected, frozenset({"LATIN", "GREEK", "MATHEMATICAL"} | _SCRIPTS.get(expected.name, set()))
