"""Reading rows out of CSV files, those of spreadsheets included. One stray quotation mark costs one row."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from assets.seeds.rows import LONGEST_ROW, RejectedRow, SourceRow, beginning

DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # which Excel writes and reads
MERGED_LINES = 5  # from this many lines on, a record is checked for rows within its quotation marks
MERGED_SHARE = 0.9  # of its lines


class _Lines:
    """The lines of a file. The lines of the present record, except its first, can be read again."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self.record: list[str] = []
        self.first = 1  # number of the record's first line

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._text.readline(LONGEST_ROW)
        if not line:
            raise StopIteration
        self.record.append(line)
        return line

    def start_record(self) -> None:
        self.first += len(self.record)
        self.record = []

    def read_again(self, start: int) -> None:
        """Read the record's lines again, from the one at `start` on."""
        self._again.extendleft(reversed(self.record[start:]))
        del self.record[start:]


def csv_rows(stream: BinaryIO, shown: str, wanted: Sequence[str] = ()) -> Iterator[SourceRow | RejectedRow]:
    """One row per record below the header. The delimiter is the one of a line `sep=;`, or else the header's.

    A quotation mark that is never closed, or closed many rows later, hides the rows in between. Where the lines of a
    broken record are rows of their own, only its first line is rejected. Where such a record is not broken, all of its
    lines are rejected, because it may be one row or many. Bytes that are not UTF-8 are decoded to surrogates: only
    that row is rejected.

    Args:
        stream: the file, in UTF-8.
        shown: its name in tables.
        wanted: fields that the header should have; they decide between two possible delimiters.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
    csv.field_size_limit(LONGEST_ROW)
    try:
        lines = _Lines(text)
        delimiter = _delimiter(lines, wanted)
        records = csv.reader(lines, strict=True, delimiter=delimiter)
        header = [name.strip() for name in _header(lines, records)]
        number = -1
        while True:
            number += 1
            lines.start_record()
            try:
                record = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                problem = str(error)
            else:
                if not record:
                    continue
                problem = _wrong_length(record, header)
            for row in _record_rows(lines, [] if problem else record, header, problem, delimiter):
                if isinstance(row, dict):
                    yield SourceRow(shown, number, row)
                else:
                    yield RejectedRow(shown, number, *row)
    finally:
        text.detach()


def _delimiter(lines: _Lines, wanted: Sequence[str]) -> str:
    line = next(lines, "")
    separator = _SEPARATOR_LINE.fullmatch(line)
    if separator:
        lines.start_record()
        return separator[1]
    lines.read_again(0)

    def fits(delimiter: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        return sum(name in names for name in wanted), len(names)

    return max(DELIMITERS, key=fits)


def _header(lines: _Lines, records: Iterator[list[str]]) -> list[str]:
    try:
        return next(records, [])
    except csv.Error:
        return lines.record[0].split(",")  # its names are in the message that no field of the configuration exists


def _wrong_length(record: list[str], header: list[str]) -> str:
    if len(record) == len(header):
        return ""
    return f"{len(record)} fields where the header has {len(header)}"


def _record_rows(
    lines: _Lines, record: list[str], header: list[str], problem: str, delimiter: str
) -> Iterator[dict[str, str] | tuple[str, str]]:
    """The row of a record, or the reasons and details for which its lines are rejected."""
    taken, width = list(lines.record), len(header)
    shown = beginning(" ".join(taken[:8]))
    if problem:
        within = [_is_record(line, width, delimiter) for line in taken[1:]]
        if sum(within) * 2 > len(within):
            lines.read_again(1)
            problem = (
                f"a quotation mark opens in this line and is not closed in it; the {len(within):,} lines after it "
                "are read as rows of their own"
            )
        elif within:
            problem += f", in a record of {len(taken):,} lines"
        yield "broken_csv", f"line {lines.first:,}: {problem}: {shown}"
    elif len(taken) >= MERGED_LINES and width > 1 and _looks_merged(taken, width, delimiter):
        for at, line in enumerate(taken):
            yield (
                "broken_csv",
                f"line {lines.first + at:,}: the quotation mark that opens in line {lines.first:,} closes "
                f"{len(taken) - 1:,} lines later, and each of these lines is a row of its own; correct the mark: "
                f"{beginning(line)}",
            )
    elif any("\udc80" <= character <= "\udcff" for value in record for character in value if character > "\ud7ff"):
        yield "not_utf8", f"line {lines.first:,}: write the file's `encoding` into its source: {shown}"
    else:
        yield dict(zip(header, record, strict=True))


def _is_record(line: str, width: int, delimiter: str) -> bool:
    """Whether a line alone is a record of `width` texts, with each quotation mark at the edge of a field or double."""
    try:
        (fields,) = csv.reader([line], strict=True, delimiter=delimiter)
    except (csv.Error, ValueError):
        return False
    return len(fields) == width and all(fields) and ('""' in line or not any('"' in field for field in fields))


def _looks_merged(taken: list[str], width: int, delimiter: str) -> bool:
    """Whether the first line without its quotation mark and the lines up to the last are rows of their own."""
    first, *inner, _ = taken
    found = [_is_record(line, width, delimiter) for line in inner]
    return _is_record("".join(first.rsplit('"', 1)), width, delimiter) and sum(found) >= MERGED_SHARE * len(found)
