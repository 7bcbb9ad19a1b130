"""Screens of an utterance before it is used: what a later speaker must never read as part of a task.

A screen refuses only what is plainly broken; whether an utterance is good is judged later, by the quality stage.
The answers of real seed sets never reach the thresholds.
"""

import re
import unicodedata
import zlib
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from assets.framework.prompts import has_control_tokens

REFUSED_REASONS = (
    "empty",
    "cut_off",
    "filtered",
    "control_tokens",
    "prompt_marks",
    "other_speaker",
    "repetition",
    "refusal",
    "not_english",
)

NGRAM_WORDS = 6
REPEATED_SHARE = 0.5  # of word 6-grams; answers of real seed sets stay at or below 0.2
REPEATED_MIN_WORDS = 40
REPEATED_LINE = 5  # the same sentence, this often
COMPRESSED_SHARE = 0.1  # of the length; loops without spaces ("0.3333…"); text written by people stays above 0.2
COMPRESSED_MIN_CHARACTERS = 400
LANGUAGE_MIN_LETTERS = 60  # shorter texts ("x = 4, so Ann has 4") are too little to tell a language from
ENGLISH_MIN_CONFIDENCE = 0.05  # of lingua's, among the languages below
FOREIGN_LETTERS_SHARE = 0.4

_PROMPT_MARKS = re.compile(r"^[ \t]*\"{3}[ \t]*$", re.MULTILINE)  # the fences that prompts put around data
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_STUTTER = re.compile(r"([a-z]{2,12}?)\1{7,}", re.IGNORECASE)  # "jimjimjimjimjimjimjimjim"
_MARKED = r"(?:\*\*|__|#+[ \t]*)"
_USUAL_SPEAKERS = r"teacher|pupil|student(?:[ _-]?[a-z])?"
# One such line may be part of an answer ("System: a set of parts"), unless it is set as a heading.
_CHAT_HEADING = re.compile(
    rf"^[ \t>]*({_MARKED}?)(?:user|human|assistant|system)(?:'s turn)?(?:\*\*|__)?[ \t]*:", re.I | re.M
)
_REFUSAL = re.compile(
    r"\bI(?:['’]m|\s+am)\s+(?:very\s+|truly\s+|really\s+)?(?:sorry|afraid)\b[^.!?]{0,30}"
    r"\b(?:can(?:no|['’])t|cannot|unable|not\s+able|won['’]t)\b"
    r"|\bI\s+(?:can(?:no|['’])t|cannot|can\s+not|won['’]t|am\s+(?:unable|not\s+able)\s+to|am\s+not\s+allowed\s+to)\s+"
    r"(?:help(?!\s+but)|assist|answer|provide|fulfil|comply|do\s+that|discuss|complete|continue|engage|generate|support)"
    r"|\bas\s+an?\s+(?:AI|artificial\s+intelligence|(?:large\s+)?language\s+model)\b[^.!?]{0,60}"
    r"\b(?:I\s+(?:can(?:no|['’])t|cannot|do\s+not|don['’]t|am\s+(?:unable|not))|my)\b",
    re.IGNORECASE,
)
_REFUSAL_WITHIN = 300  # characters: a refusal comes first; later on it is part of a story
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]+\$|\\\[.*?\\\]|\\\(.*?\\\)|https?://\S+|\"[^\"\n]*\"|“[^”\n]*”",
    re.DOTALL,
)
_CODE_LINE = re.compile(
    r"[{};=<>|\\]|\w\(|^\s{4,}\S|^\s*(?:import|from|def|class|return|#include|//|#|--)\b", re.MULTILINE
)


def screen(text: str, finish_reason: str, speakers: Collection[str] = ()) -> str | None:
    """Why this utterance must not be used: one of `REFUSED_REASONS`, or None where it may be.

    Args:
        text: the utterance, without its own heading (see `without_heading`).
        finish_reason: as the endpoint gave it.
        speakers: names of the dialogue's speakers.
    """
    if finish_reason == "length":
        return "cut_off"
    if finish_reason == "content_filter":
        return "filtered"
    if finish_reason == "refusal":
        return "refusal"
    if not any(character.isalnum() for character in text):
        return "empty"
    if has_control_tokens(text):
        return "control_tokens"
    if _PROMPT_MARKS.search(_FENCED.sub(" ", text)):
        return "prompt_marks"
    if speaks_for_others(text, speakers):
        return "other_speaker"
    if is_repetitive(text):
        return "repetition"
    if is_refusal(text):
        return "refusal"
    if not is_english(text):
        return "not_english"
    return None


def without_heading(text: str, speaker: str) -> str:
    """`text` without the speaker's own name in front (`**Student A:** I think …` -> `I think …`)."""
    heading = re.compile(rf"^\W*{re.escape(speaker)}\W{{0,3}}:(?:\*\*|__)?\s*", re.IGNORECASE)
    return heading.sub("", text.strip(), count=1).strip()


def speaks_for_others(text: str, speakers: Collection[str] = ()) -> bool:
    """Whether some line begins as another speaker's, or as a further turn of the same one (`Teacher: …`).

    Teachers and students always count, other names where they are among `speakers`. Fenced code does not count. The
    parts of a chat (`User:`) count where they are set as a heading (`**User:**`, `### Assistant:`) or come twice.
    """
    prose = _FENCED.sub(" ", text)
    marks = _CHAT_HEADING.findall(prose)
    return any(marks) or len(marks) > 1 or _headings(frozenset(speakers)).search(prose) is not None


@cache
def _headings(speakers: frozenset[str]) -> re.Pattern[str]:
    names = "|".join([_USUAL_SPEAKERS, *map(re.escape, sorted(speakers))])
    return re.compile(rf"^[ \t>]*{_MARKED}?(?:{names})(?:'s turn)?(?:\*\*|__)?[ \t]*:", re.I | re.M)


def is_repetitive(text: str) -> bool:
    """Whether `text` runs in a loop: repeated word runs, one sentence over and over, or no information at all."""
    words = text.lower().split()
    if len(words) >= REPEATED_MIN_WORDS and repeated_share(words) > REPEATED_SHARE:
        return True
    sentences = [part.strip().lower() for part in re.split(r"[\n.!?]+", text) if len(part.split()) >= 3]
    if sentences and max(map(sentences.count, set(sentences))) >= REPEATED_LINE:
        return True
    if _STUTTER.search(text):
        return True
    data = text.encode("utf-8", "replace")
    return len(data) >= COMPRESSED_MIN_CHARACTERS and len(zlib.compress(data)) / len(data) < COMPRESSED_SHARE


def repeated_share(words: Sequence[str], length: int = NGRAM_WORDS) -> float:
    """Share of the word n-grams that repeat an earlier one (0..1)."""
    grams = [tuple(words[index : index + length]) for index in range(len(words) - length + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_refusal(text: str) -> bool:
    """Whether `text` begins by declining the task. Owning a mistake ("I'm sorry, I forgot …") is none."""
    return _REFUSAL.search(text[:_REFUSAL_WITHIN]) is not None


def is_english(text: str) -> bool:
    """Whether the prose of `text` is English; code, formulas, quotations and very short texts count as English."""
    lines = [line for line in _NOT_PROSE.sub(" ", text).splitlines() if not _CODE_LINE.search(line)]
    # Names of people, places and dishes are no sign of a language.
    prose = " ".join(word for line in lines for word in line.split() if not word[0].isupper())
    letters = [character for character in prose if character.isalpha()]
    foreign = sum(not _is_latin_or_greek(character) for character in letters)
    if foreign >= 4 and foreign > FOREIGN_LETTERS_SHARE * len(letters):
        return False
    if len(letters) < LANGUAGE_MIN_LETTERS:
        return True
    detector, english = _detector()
    return float(detector.compute_language_confidence(prose, english)) >= ENGLISH_MIN_CONFIDENCE


def _is_latin_or_greek(character: str) -> bool:
    return character.isascii() or unicodedata.name(character, "").startswith(("LATIN", "GREEK", "MATHEMATICAL"))


@cache
def _detector() -> tuple[Any, Any]:
    """lingua's detector over the languages that models slip into: 20 MB and 0.1 s."""
    from lingua import Language, LanguageDetectorBuilder

    names = (
        "ENGLISH SPANISH FRENCH GERMAN PORTUGUESE ITALIAN DUTCH POLISH TURKISH INDONESIAN VIETNAMESE RUSSIAN "
        "CHINESE JAPANESE KOREAN ARABIC HINDI"
    )
    languages = [getattr(Language, name) for name in names.split()]
    detector = LanguageDetectorBuilder.from_languages(*languages).with_low_accuracy_mode().build()
    return detector, Language.ENGLISH
