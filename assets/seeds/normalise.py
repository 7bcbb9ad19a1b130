"""Normal form of a text: differences between copies that have no meaning are removed."""

import re
import unicodedata

_LINE_BREAKS = re.compile("\r\n?|\x85|\u2028|\u2029")
# Control characters except tab and newline, lone surrogates, byte order marks, zero-width spaces, direction marks.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    r"""Unicode NFC, `\n` line breaks, plain spaces, no invisible characters, no white space at the ends.

    Spaces within a line stay, because code depends on them; several empty lines become one. Normalising a normalised
    text changes nothing.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _LINE_BREAKS.sub("\n", text)
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return unicodedata.normalize("NFC", _BLANK_LINES.sub("\n\n", text).strip())
