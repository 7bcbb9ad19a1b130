"""Normal form of a text: differences between copies that have no meaning are removed."""

import re
import unicodedata

from resources.outside_text import clean_text

_INVISIBLE = re.compile("[\u00ad\u200b\u2060]")  # soft hyphens, zero-width spaces and word joiners
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# 12 011 with a no-break or a thin space is one number, as much as 12,011 is.
_THOUSANDS = re.compile("(?<![0-9])[0-9]{1,3}(?:[\u00a0\u2007\u2009\u202f][0-9]{3})+(?![0-9])")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    r"""Unicode NFC, `\n` line breaks, plain spaces (none between thousands), no invisible characters, no white space
    at the ends.

    Spaces within a line stay, because code depends on them; several empty lines become one. Normalising a normalised
    text changes nothing.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _INVISIBLE.sub("", clean_text(text, len(text)))
    text = _SPACES.sub(" ", _THOUSANDS.sub(lambda number: _SPACES.sub("", number[0]), text))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return unicodedata.normalize("NFC", _BLANK_LINES.sub("\n\n", text).strip())
