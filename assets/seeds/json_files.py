"""Reading rows out of JSON files: JSON lines, an array, or an object with a list of rows. Memory is bounded."""

import io
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Literal, Never

from assets.seeds.rows import (
    ALL_FIELDS,
    LONGEST_ROW,
    ROLE_KEYS,
    ReadOptions,
    RejectedRow,
    SeedsError,
    SourceRow,
    beginning,
)

WINDOW = 2**16  # characters of a document that are read at once
HEAD = 2**20  # bytes at the start of a file from which its layout is read
LONGEST_NUMBER = 300  # digits; a longer whole number stays text, as Python refuses to convert it


def _whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits


_DECODER = json.JSONDecoder(parse_int=_whole_number)


def json_rows(
    opened: Callable[[], AbstractContextManager[BinaryIO]], shown: str, options: ReadOptions = ALL_FIELDS
) -> Iterator[SourceRow | RejectedRow]:
    """The rows of a file, whatever its layout: lines, an array, one object with a list of rows, or several objects.

    Args:
        opened: opens the file, in UTF-8, at its start. It is called up to three times.
        shown: the file's name in tables.
        options: what a configuration says of the file.

    Raises:
        SeedsError: an array or an object cannot be read on, or it is not clear where an object's rows are.
    """
    with opened() as stream:
        layout = _layout(stream.read(HEAD), options)
    member = None
    if layout in ("object", "one line"):
        with opened() as stream:
            member = _member_with_rows(_Document(stream, shown), options, one_line=layout == "one line")
    with opened() as stream:
        if layout == "lines":
            yield from json_lines_rows(stream, shown, options)
        elif layout == "array":
            yield from json_array_rows(stream, shown, options)
        else:
            document = _Document(stream, shown)
            values = document.values() if member is None else document.elements_of(member)
            yield from (_row(options, shown, number, value) for number, value in enumerate(values))


def _layout(head: bytes, options: ReadOptions) -> Literal["lines", "array", "object", "one line"]:
    """The layout of a file that begins with `head`: lines, if the first of several lines is JSON by itself."""
    first, _, rest = head.lstrip().partition(b"\n")
    if first[:1] not in (b"[", b"{"):
        return "lines"
    try:
        value = _DECODER.decode(first.decode())
    except RecursionError:
        return "lines" if rest.strip() else "array"
    except ValueError:
        if first.startswith(b"["):
            return "array"
        continues = first.rstrip().endswith((b"{", b"[", b",", b":")) or len(first) >= HEAD
        return "object" if continues else "lines"
    if rest.strip():
        return "lines"
    if isinstance(value, dict):
        return "one line"
    one_conversation = options.messages and value and isinstance(value[0], dict) and value[0].keys() & set(ROLE_KEYS)
    return "lines" if one_conversation else "array"


def _member_with_rows(document: "_Document", options: ReadOptions, *, one_line: bool) -> str | None:
    """The member of a JSON object that lists the rows; None if the object itself is a row, or the first of several.

    Raises:
        SeedsError: the object is no row, and has no list of rows or several.
    """
    names, first_rows = list[str](), dict[str, Any]()
    for name in document.members():
        names.append(name)
        if document.next_character() != "[":
            document.value()
            continue
        for element in document.elements():
            if isinstance(element, dict | list):
                first_rows.setdefault(name, element)
    if document.next_character():  # of several objects
        return None
    fields = {name.split(".")[0] for name in options.wanted}
    if options.rows_in in names:
        return options.rows_in
    wrapped = [name for name, row in first_rows.items() if isinstance(row, list) or fields & row.keys()]
    is_a_row = fields & set(names) and not wrapped
    if is_a_row or (not first_rows and (one_line or not fields)) or (one_line and not fields):
        return None
    if len(first_rows) == 1 and not options.rows_in:
        return next(iter(first_rows))
    found = f"is one JSON object with the members {beginning(', '.join(names), 400)}"
    if first_rows:
        lists = beginning(" or ".join(f"`rows_in: {name}`" for name in first_rows), 400)
        raise SeedsError(f"{document.shown}: {found}; write {lists} into its source, for the list that has the rows")
    raise SeedsError(
        f"{document.shown}: {found}, and none is a list of rows; convert it to JSON lines, one row per line"
    )


def _row(options: ReadOptions, shown: str, number: int, value: Any) -> SourceRow | RejectedRow:
    if isinstance(value, list) and options.messages and value:
        value = {options.messages: value}
    if isinstance(value, dict):
        return SourceRow(shown, number, value)
    return RejectedRow(shown, number, "not_a_row", f"should be an object with fields, is {beginning(value)}")


def json_lines_rows(
    stream: BinaryIO, shown: str, options: ReadOptions = ALL_FIELDS, longest: int = LONGEST_ROW
) -> Iterator[SourceRow | RejectedRow]:
    """One row per line; empty lines are left out. A line longer than `longest` bytes is rejected unread."""
    for number, line in enumerate(_lines(stream, longest)):
        if line is None:
            yield RejectedRow(shown, number, "oversized", f"the line is longer than {longest:,} bytes")
            continue
        if not line.strip():
            continue
        try:
            value = _DECODER.decode(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            shown_line = beginning(line.decode("utf-8", "replace"))
            yield RejectedRow(shown, number, "not_utf8", f"byte {error.start}: {shown_line}")
        except (ValueError, RecursionError) as error:
            yield RejectedRow(shown, number, "broken_json", f"{error}: {beginning(line.decode())}")
        else:
            yield _row(options, shown, number, value)


def _lines(stream: BinaryIO, longest: int) -> Iterator[bytes | None]:
    """Lines of at most `longest` bytes; None for a longer one, of which no more is in memory at once."""
    while line := stream.readline(longest):
        if line.endswith(b"\n") or len(line) < longest:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(longest)
        yield None


def json_array_rows(
    stream: BinaryIO, shown: str, options: ReadOptions = ALL_FIELDS, window_size: int = WINDOW
) -> Iterator[SourceRow | RejectedRow]:
    """The elements of one JSON array, decoded one after the other from a window of `window_size` characters.

    Raises:
        SeedsError: an element is not JSON or not UTF-8, or text follows the array; what follows cannot be read.
    """
    document = _Document(stream, shown, window_size)
    for number, element in enumerate(document.elements()):
        yield _row(options, shown, number, element)
    if document.next_character():
        document.fail("text follows the array")


class _Document:
    """Decodes the parts of a JSON document one after the other from a window of its text."""

    def __init__(self, stream: BinaryIO, shown: str, window_size: int = WINDOW) -> None:
        self.shown = shown
        self._text = io.TextIOWrapper(stream, encoding="utf-8")
        self._size = window_size
        self._window, self._position, self._ended = "", 0, False
        self._count = 0  # values of the present array that are decoded, for messages

    def next_character(self) -> str:
        """The next character that is neither white space nor a comma, which stays; "" at the end."""
        while True:
            while self._position < len(self._window) and self._window[self._position] in " \t\r\n,":
                self._position += 1
            if self._position < len(self._window) or self._ended:
                return self._window[self._position : self._position + 1]
            self._read_more()

    def value(self) -> Any:
        """Decode the next value."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._window, self._position)
                if end < len(self._window) or self._ended:  # a number may continue after the window
                    self._position = end
                    self._count += 1
                    return value
            except RecursionError:
                self.fail("it is nested too deeply")
            except ValueError as error:
                if self._ended or len(self._window) - self._position > LONGEST_ROW:
                    self.fail(str(error.args[0]))
            self._read_more()

    def values(self) -> Iterator[Any]:
        """Values that follow each other."""
        while self.next_character():
            yield self.value()

    def elements(self) -> Iterator[Any]:
        """The elements of the array that comes next."""
        self._skip("[")
        self._count = 0
        while self.next_character() != "]":
            yield self.value()
        self._skip("]")

    def members(self) -> Iterator[str]:
        """The names of the members of the object that comes next; the caller decodes each value."""
        self._skip("{")
        while self.next_character() != "}":
            name = self.value()
            self._skip(":")
            yield str(name)
        self._skip("}")

    def elements_of(self, member: str) -> Iterator[Any]:
        """The elements of the array that is one member of the object that comes next."""
        for name in self.members():
            if self.next_character() != "[":
                self.value()
            elif name == member:
                yield from self.elements()
            else:
                deque(self.elements(), maxlen=0)

    def fail(self, problem: str) -> Never:
        """Raise a `SeedsError` that says where the document is broken."""
        raise SeedsError(
            f"{self.shown}: the JSON is broken or cut off at element {self._count}: {problem}; "
            "correct it, or convert the file to JSON lines, where only broken lines are rejected"
        ) from None

    def _skip(self, character: str) -> None:
        if self.next_character() != character:
            self.fail(f"a `{character}` is missing")
        self._position += 1

    def _read_more(self) -> None:
        rest = self._window[self._position :]
        try:
            more = self._text.read(max(self._size, len(rest)))
        except UnicodeDecodeError as error:
            raise SeedsError(
                f"{self.shown}: is not UTF-8 after element {self._count - 1}: {error}; "
                "write the file's `encoding` into its source"
            ) from None
        self._window, self._position, self._ended = rest + more, 0, not more
