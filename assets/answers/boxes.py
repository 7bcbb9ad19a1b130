r"""Answers in LaTeX boxes, `\boxed{42}`."""

import re
from collections.abc import Iterator

from assets.answers.markup import BOXED, LONGEST_FINAL, braced, clean
from assets.answers.units import read_unit

_BETWEEN_BOXES = re.compile(
    r"(?:\s*[A-Za-z]{2,20}(?=\s+(?:and|or)\b|\s*,))?"  # "1 paper and 2 bins"
    r"(?:[\s$,;~]|\\[,;!()\[\] ]|\\q?quad(?![A-Za-z])|\\(?:text|mbox)\s*\{[^{}]{0,40}\}|\b(?:and|or)\b"
    r"|[A-Za-z](?:_\{?\w\}?)?\s*=|([-+*/=|.&])\1++)*"
)
_LONGEST_BETWEEN_BOXES = 60


def without_words(answer: str) -> str:
    """An answer cleaned (`clean`); of a text with boxes, what stands in the last of them."""
    boxed = list(boxed_answers(answer)) if "boxed" in answer else []
    return boxed[-1][1] if boxed else clean(answer)


def boxed_answers(text: str) -> Iterator[tuple[int, str]]:
    r"""What stands in boxes, with its unit; "and", a comma or a row of signs between boxes makes them one answer."""
    start, end, values = 0, 0, list[str]()
    for match in BOXED.finditer(text):
        content = braced(text, match.end())
        if content is None or not content.strip():
            continue
        between = text[end : match.start()]
        if not (values and len(between) <= _LONGEST_BETWEEN_BOXES and _BETWEEN_BOXES.fullmatch(between)):
            if values:
                yield start, ", ".join(values)
            start, values = match.start(), []
        end = match.end() + len(content) + 2
        values.append(clean(content) + _unit_behind(text[end : end + LONGEST_FINAL]))
    if values:
        yield start, ", ".join(values)


def _unit_behind(text: str) -> str:
    """The unit that follows a box, with a space before it; empty where none does."""
    line = re.sub(r"^\s*(?:\$\$?|\\[)\]])?\s*", "", text.partition("\n")[0])
    unit, rest = read_unit(line)
    behind = line[: line.find(rest)] if rest and rest in line else line
    return f" {behind.strip(' .,$')}" if unit and len(behind) <= 30 else ""
