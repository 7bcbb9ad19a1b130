"""A remote file that is read in pieces."""

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO

READ_AHEAD = 1 << 16  # bytes


class RangedFile(io.RawIOBase, BinaryIO):
    """A remote file whose tail is in memory; the rest is fetched when it is read."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, tail: bytes, ahead: int = READ_AHEAD) -> None:
        """Open a file.

        Args:
            fetch: returns the bytes from its first argument up to, and without, its second.
            size: of the file, in bytes.
            tail: the last bytes of the file; may be empty.
            ahead: at least so many bytes are fetched at a time.
        """
        self._at_least = ahead
        self._fetch = fetch
        self.size = size
        self._tail = tail
        self._ahead, self._ahead_start = b"", 0
        self._position = 0

    def copy(self) -> "RangedFile":
        """The same file, positioned at its start; its tail is not fetched again."""
        return RangedFile(self._fetch, self.size, self._tail, self._at_least)

    @property
    def has_tail(self) -> bool:
        """Whether the file's end is in memory."""
        return bool(self._tail)

    def with_tail(self) -> "RangedFile":
        """The same version of the file with its end fetched. Raises StoreError where it was replaced."""
        start = max(0, self.size - READ_AHEAD)
        return RangedFile(self._fetch, self.size, self._fetch(start, self.size), self._at_least)

    def without_tail(self) -> "RangedFile":
        """The same version of the file, with nothing of it in memory."""
        return RangedFile(self._fetch, self.size, b"", self._at_least)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._bytes(self._position, min(self._position + len(view), self.size))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = self._bytes(self._position, self.size)
        self._position += len(data)
        return data

    def _bytes(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        tail_start = self.size - len(self._tail)
        if start >= tail_start:
            return self._tail[start - tail_start : end - tail_start]
        if end > tail_start:
            return self._bytes(start, tail_start) + self._tail[: end - tail_start]
        if not self._ahead_start <= start <= end <= self._ahead_start + len(self._ahead):
            self._ahead = self._fetch(start, min(max(end, start + self._at_least), tail_start))
            self._ahead_start = start
        return self._ahead[start - self._ahead_start : end - self._ahead_start]
