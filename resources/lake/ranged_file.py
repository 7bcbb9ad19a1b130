"""A remote file that is read in pieces."""

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO

READ_AHEAD = 1 << 16  # bytes


class RangedFile(io.RawIOBase, BinaryIO):
    """A remote file of which one piece is in memory, at first its tail; another piece is fetched when it is read."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, tail: bytes, ahead: int = READ_AHEAD) -> None:
        """Open a file.

        Args:
            fetch: returns the bytes from its first argument up to, and without, its second.
            size: of the file, in bytes.
            tail: the last bytes of the file; may be empty.
            ahead: at least so many bytes are fetched at a time.
        """
        self._fetch, self._at_least = fetch, ahead
        self.size, self.tail = size, tail
        self._piece, self._piece_start = tail, size - len(tail)
        self._position = 0

    def copy(self, *, tail: bool) -> "RangedFile":
        """The same version of the file, positioned at its start, with its tail in memory or without.

        Raises:
            StoreError: the tail has to be fetched, and the file was replaced.
        """
        piece = b""
        if tail:
            piece = self.tail or (self._fetch(max(0, self.size - READ_AHEAD), self.size) if self.size else b"")
        return RangedFile(self._fetch, self.size, piece, self._at_least)

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
        data = self._read(self._position + len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read(self.size)

    def _read(self, end: int) -> bytes:
        """The bytes from the position up to `end`; moves the position."""
        start, end = self._position, min(end, self.size)
        if start >= end:
            return b""
        if not self._piece_start <= start <= end <= self._piece_start + len(self._piece):
            self._piece, self._piece_start = self._fetch(start, min(max(end, start + self._at_least), self.size)), start
        self._position = end
        return self._piece[start - self._piece_start : end - self._piece_start]
