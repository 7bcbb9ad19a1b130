"""The rows of a source as they are read, and the rows that cannot be used."""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.outside_text import clean_line

LONGEST_ROW = 32 * 2**20  # bytes
ROLE_KEYS = ("role", "from", "speaker")  # fields of a message that say who speaks
MISSING = object()  # the value of a field that a row does not have


class SeedsError(RuntimeError):
    """A source cannot be read. The message names the source or file, what is wrong, and what to do."""


class Unusable(Exception):
    """A row is rejected: why."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason  # short code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a configuration says of a file before it is read."""

    wanted: tuple[str, ...] = ()  # the fields that are read of a row; all, if empty
    messages: str | None = None  # the field of a conversation; a row may also be the bare list of its messages
    rows_in: str | None = None  # the member of a JSON object that lists the rows
    encoding: str | None = None  # of a text file; None: UTF-8, or UTF-16 where the file begins so


ALL_FIELDS = ReadOptions()


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row as it is in its file."""

    origin_file: str
    origin_row: int  # from 0: the line in JSON lines, the record after the header in CSV
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be used, and why."""

    origin_file: str
    origin_row: int
    reason: str  # short code
    detail: str  # a sentence, with the beginning of the row


def field_value(values: Any, name: str) -> Any:
    """The field of that name, or `MISSING`. `answers.text` is also the field `text` within the field `answers`.

    Within a list it is the list of its elements' fields: `{"answers": [{"text": "a"}, {"text": "b"}]}` has the value
    `["a", "b"]`.
    """
    if isinstance(values, Mapping):
        if name in values:
            return values[name]
        outer, dot, inner = name.partition(".")
        return field_value(values[outer], inner) if dot and outer in values else MISSING
    if isinstance(values, list):
        return [found for value in values if (found := field_value(value, name)) is not MISSING]
    return None if values is None else MISSING


def beginning(value: Any, limit: int = 160) -> str:
    """The first characters of a row, on one line and without control characters, for the detail of a rejected row."""
    if isinstance(value, str):
        return clean_line(value, limit)
    try:
        return clean_line(json.dumps(value, ensure_ascii=False, default=str), limit)
    except (TypeError, ValueError, RecursionError):
        return clean_line(reprlib.repr(value), limit)
