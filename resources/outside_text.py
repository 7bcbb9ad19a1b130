"""Text, JSON and numbers that come from outside: models, servers, seed files, sandboxed programs.

Everything that is read from outside passes these functions once, where it enters. A clean text can be written as UTF-8,
JSON and Parquet, and it changes neither a terminal nor the direction of the text around it.
"""

import json
import re
from typing import Any

MAX_CHARACTERS = 100_000  # of one text
MAX_COUNT = 10**9  # of one number; sums of 10^9 of them fit into 64 bits
LINE_CHARACTERS = 200

_LINE_BREAK = re.compile("\r\n?|\x85|\u2028|\u2029")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Whole escape sequences of terminals: colours and cursor movements (CSI), titles and links (OSC, ended by BEL or ST).
_ESCAPE_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\x9d\n]*(?:\x07|\x1b\\\\|\x9c)"
)
# Where an address begins for programs that look for one: behind `//`, at the dot of `www.`, at an `@`.
_ADDRESS = re.compile(r"(?<=://)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
WORD_JOINER = "\u2060"
# Control characters except tab and newline, marks of direction, byte order marks, tag characters, noncharacters.
# Joiners stay: emoji and several scripts need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\U000e0000-\U000e007f]"
)


def clean_text(text: str, limit: int = MAX_CHARACTERS) -> str:
    r"""At most `limit` characters of `text`, safe to write and to show.

    Line breaks become `\n` and lone surrogates U+FFFD. Escape sequences of terminals, control characters, marks of
    direction and invisible tags are removed. Everything else stays as it is. The time is linear.
    """
    text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPE_SEQUENCE.sub("", _LINE_BREAK.sub("\n", text))
    return _UNSAFE.sub("", _SURROGATE.sub("\ufffd", text))


def clean_line(given: bytes | str, limit: int = LINE_CHARACTERS) -> str:
    """The first `limit` characters of `given` on one line, for messages and logs. `…` marks what was cut off."""
    start = given[: 4 * limit + 1]
    line = " ".join(clean_text(start.decode("utf-8", "replace") if isinstance(start, bytes) else start).split())
    return line if len(line) <= limit and len(start) == len(given) else f"{line[:limit]}…"


def without_links(text: str) -> str:
    """`text` for a place that makes links of addresses, such as a log in Dagster's UI: none of these becomes a link.

    An invisible word joiner (U+2060) breaks each address: behind `://`, before the dot of `www.`, before `@`. The text
    looks the same, and a copied address still opens, because browsers remove the word joiner from host names. Use it
    where text is shown, not where it is stored.
    """
    return _ADDRESS.sub(WORD_JOINER, text)


def parse_json(content: bytes | str) -> Any:
    """The value that a JSON text holds.

    Raises:
        ValueError: it is not JSON, its arrays or objects are nested too deeply, or a number has thousands of digits.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None


def bounded_count(given: object) -> int | None:
    """`given` if it is an integer from 0 to `MAX_COUNT`, else None."""
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= MAX_COUNT else None
