"""The layout of an utterance: prose becomes one paragraph; other texts keep their lines."""

import re
from itertools import pairwise

SHORT_LINE = 60  # characters; a longer line that ends within a sentence was wrapped

_LINE_BREAKS = re.compile(r"[ \t]*\n\s*")
_KEEPS_LINES = re.compile(  # one such line is enough
    r"""
    ^[ \t]*(?:```|~~~)                                # fenced code
    | ^\#{1,6}[ \t]+\S                                # a heading
    | ^[ \t]*\|.*\|[ \t]*$                            # a row of a table
    | ^[ \t]*(?:def|class)[ ]\w+.*:[ \t]*$            # code without a fence
    | ^[ \t]*(?:import[ ]\w|from[ ][\w.]+[ ]import\b|\#include\b|<\?php|</?\w+[^>\n]*>[ \t]*$)
    | [;{}][ \t]*\n[ \t]*[\w}/]
    | ^(?:[ ]{4}|\t)[ \t]*\S
    """,
    re.MULTILINE | re.VERBOSE,
)
_ITEM = re.compile(
    r"^[ \t]*(?:[-*+•–][ \t]+|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.)][ \t]+|(?:\*\*)?step[ \t]+\d+)", re.I
)
_SENTENCE_END = re.compile(r"[.!?:。！？：…][\"'”’»)\]*_`$]*$")


def one_paragraph(text: str) -> str:
    """`text` on one line if it is prose. Code, lists, tables, verse and letters keep their lines."""
    return text if _has_lines(text) else _LINE_BREAKS.sub(" ", text)


def _has_lines(text: str) -> bool:
    """Whether the line breaks of a text mean something."""
    if "\n" not in text:
        return False
    if _KEEPS_LINES.search(text):
        return True
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    if sum(_ITEM.match(line) is not None for line in lines) > 1:
        return True
    return sum(_own_line(line.strip(), after.strip()) for line, after in pairwise(lines)) > 1


def _own_line(line: str, after: str) -> int:
    """How clearly a line is one of verse, a letter or a calculation: 0, 1 or 2. Wrapped prose goes on in lower case."""
    if len(line) > SHORT_LINE or _SENTENCE_END.search(line) or after[0].islower():
        return 0
    return 2 if line[-1] in ",;，；" else 1
