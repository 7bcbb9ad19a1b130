"""The rows of a source as they are read, and the rows that cannot be used."""

import json
from dataclasses import dataclass
from typing import Any


class SeedsError(RuntimeError):
    """A source cannot be read. The message names the source or file, what is wrong, and what to do."""


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


def beginning(value: Any, limit: int = 160) -> str:
    """The first characters of a row, on one line, for the detail of a rejected row."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text[: 4 * limit].encode("utf-8", "replace").decode().split())
    return text if len(text) <= limit else text[:limit] + " …"
