"""The signal `reading_ease`."""

import re

import pandera.polars as pa
import polars as pl

from assets.quality.inputs import DialogueInput
from assets.quality.signal_plugins import Limit, Signal

WORD = re.compile(r"[A-Za-z]+")
SENTENCE = re.compile(r"[^.!?\n]*[A-Za-z][^.!?\n]*")
SYLLABLE = re.compile(r"[aeiouy]+")


def reading_ease(dialogue: DialogueInput) -> float | None:
    """Flesch's reading ease of all `gpt` turns; None where they have no word."""
    text = "\n".join(turn.text for turn in dialogue.turns if turn.side == "gpt")
    words = WORD.findall(text)
    if not words:
        return None
    sentences = len(SENTENCE.findall(text))
    syllables = sum(max(1, len(SYLLABLE.findall(word.lower().removesuffix("e")))) for word in words)
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)


READING_EASE = Signal(
    measure=reading_ease,
    column=pa.Column(pl.Float64, description="Flesch reading ease of the gpt turns: 100 is easy, 0 very hard."),
    limit=Limit(least=0, rejects=False),
)
