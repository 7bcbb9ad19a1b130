"""Reading rows out of JSON, CSV and Parquet files, with a bounded part in memory. Unreadable rows are rejected."""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from assets.seeds.rows import RejectedRow, SeedsError, SourceRow, beginning

LONGEST_ROW = 32 * 2**20  # bytes
WINDOW = 2**16  # characters of a JSON array that are read at once
BATCH_ROWS = 256  # rows of a Parquet file that are decoded at once


def starts_with_bracket(stream: BinaryIO) -> bool:
    """Whether the first character of the stream is `[`; the stream is left at its start."""
    head = stream.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()
    stream.seek(0)
    return head.startswith(b"[")


def json_lines_rows(stream: BinaryIO, shown: str, longest: int = LONGEST_ROW) -> Iterator[SourceRow | RejectedRow]:
    """One row per line; empty lines are left out. A line longer than `longest` bytes is rejected unread."""
    for number, line in enumerate(_lines(stream, longest)):
        if line is None:
            yield RejectedRow(shown, number, "oversized", f"the line is longer than {longest:,} bytes")
            continue
        if number == 0:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield RejectedRow(
                shown, number, "not_utf8", f"byte {error.start}: {beginning(line.decode('utf-8', 'replace'))}"
            )
        except (ValueError, RecursionError) as error:
            yield RejectedRow(shown, number, "broken_json", f"{error}: {beginning(line.decode())}")
        else:
            yield _row(shown, number, value)


def _lines(stream: BinaryIO, longest: int) -> Iterator[bytes | None]:
    """Lines of at most `longest` bytes; None for a longer one, of which no more is in memory at once."""
    while line := stream.readline(longest):
        if line.endswith(b"\n") or len(line) < longest:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(longest)
        yield None


def _row(shown: str, number: int, value: Any) -> SourceRow | RejectedRow:
    if isinstance(value, dict):
        return SourceRow(shown, number, value)
    return RejectedRow(shown, number, "not_a_row", f"should be an object with fields, is {beginning(value)}")


def json_array_rows(stream: BinaryIO, shown: str, window_size: int = WINDOW) -> Iterator[SourceRow | RejectedRow]:
    """The elements of one JSON array, decoded one after the other from a window of `window_size` characters.

    Raises:
        SeedsError: an element is not JSON or not UTF-8; what follows cannot be read.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig")
    decoder = json.JSONDecoder()
    window, position, number, ended = "", 0, 0, False
    try:
        window = text.read(window_size)
        position = window.index("[") + 1
        while True:
            position = _skip_separators(window, position)
            if window.startswith("]", position):
                return
            try:
                value, end = decoder.raw_decode(window, position)
                complete = end < len(window) or ended  # a number may continue after the window
            except ValueError as error:
                if ended or len(window) - position > LONGEST_ROW:
                    raise SeedsError(
                        f"{shown}: the JSON array is broken or cut off at element {number}: {error.args[0]}; "
                        "correct it, or convert the file to JSON lines, where only broken lines are rejected"
                    ) from None
                complete = False
            if complete:
                yield _row(shown, number, value)
                number, position = number + 1, end
            else:
                window, position = window[position:], 0
                more = text.read(max(window_size, len(window)))
                ended = not more
                window += more
    except UnicodeDecodeError as error:
        raise SeedsError(f"{shown}: is not UTF-8 after element {number - 1}: {error}; convert it to UTF-8") from error
    finally:
        text.detach()


def _skip_separators(window: str, position: int) -> int:
    while position < len(window) and window[position] in " \t\r\n,":
        position += 1
    return position


def csv_rows(stream: BinaryIO, shown: str) -> Iterator[SourceRow | RejectedRow]:
    """One row per record below the header.

    Bytes that are not UTF-8 are decoded to surrogates: only that row is rejected.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    csv.field_size_limit(LONGEST_ROW)
    try:
        records = csv.reader(text, strict=True)
        header = next(records, [])
        number = -1
        while True:
            number += 1
            try:
                record = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                yield RejectedRow(shown, number, "broken_csv", f"line {records.line_num}: {error}")
                continue
            if not record:
                continue
            if any(
                "\udc80" <= character <= "\udcff" for value in record for character in value if character > "\ud7ff"
            ):
                yield RejectedRow(shown, number, "not_utf8", beginning(" ".join(record)))
            elif len(record) != len(header):
                counts = f"{len(record)} fields where the header has {len(header)}"
                yield RejectedRow(shown, number, "broken_csv", f"{counts}: {beginning(' '.join(record))}")
            else:
                yield SourceRow(shown, number, dict(zip(header, record, strict=True)))
    finally:
        text.detach()


def parquet_rows(stream: BinaryIO, shown: str, wanted: tuple[str, ...]) -> Iterator[SourceRow]:
    """The fields in `wanted` of each row if the file has them all, and every field otherwise or if none is wanted."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(stream) as file:
        names = file.schema_arrow.names
        # All fields where one is missing, because the error message lists the fields of the file.
        columns = list(wanted) if wanted and set(wanted) <= set(names) else None
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            for values in batch.to_pylist():
                yield SourceRow(shown, number, values)
                number += 1
