"""Loops: text that repeats itself instead of saying something."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence

NGRAM_WORDS = 6
REPEATED_SHARE = 0.5  # of word 6-grams; answers of real seed sets stay at or below 0.2
REPEATED_MIN_WORDS = 40
REPEATED_SENTENCE = 5  # the same sentence, this often
COMPRESSED_SHARE = 0.1  # of the length; loops without spaces ("0.3333…"); text written by people stays above 0.2
COMPRESSED_MIN_CHARACTERS = 400
STUTTER_MIN_CHARACTERS = 60  # of two letters; a shorter run ("hahaha…") is a laugh unless it is most of the text
_STUTTER = re.compile(r"([a-z]{2,12}?)\1{7,}", re.IGNORECASE)  # "jimjimjimjimjimjimjimjim"


def is_repetitive(text: str) -> bool:
    """Whether `text` runs in a loop: repeated word runs, one sentence over and over, or no information at all."""
    words = text.lower().split()
    if len(words) >= REPEATED_MIN_WORDS and repeated_share(words) > REPEATED_SHARE:
        return True
    sentences = Counter(part.strip().lower() for part in re.split(r"[\n.!?]", text) if len(part.split(None, 3)) >= 3)
    if sentences and max(sentences.values()) >= REPEATED_SENTENCE:
        return True
    if any(_is_loop(found, text) for found in _STUTTER.finditer(text)):
        return True
    data = text.encode("utf-8", "replace")
    return len(data) >= COMPRESSED_MIN_CHARACTERS and len(zlib.compress(data)) / len(data) < COMPRESSED_SHARE


def _is_loop(stutter: re.Match[str], text: str) -> bool:
    length = stutter.end() - stutter.start()
    return len(stutter[1]) > 2 or length >= STUTTER_MIN_CHARACTERS or length > len(text.strip()) / 2


def repeated_share(words: Sequence[str], length: int = NGRAM_WORDS) -> float:
    """Share of the word n-grams that repeat an earlier one (0..1)."""
    grams = [tuple(words[index : index + length]) for index in range(len(words) - length + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
