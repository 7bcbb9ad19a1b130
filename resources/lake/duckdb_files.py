"""A remote store as an fsspec file system: DuckDB reads it with the store's own requests and retries."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from fsspec import AbstractFileSystem

from resources.lake.ranged_file import RangedFile

EPOCH = datetime.fromtimestamp(0, UTC)
TAILS = 256  # files whose tail, where Parquet keeps its footer, stays in memory: at most 16 MiB


class StoreFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Reads a store's files by the addresses that `Store.uri` gives.

    DuckDB opens a file several times in one query. A file that was opened before is read in the version that it had
    then: a connection never mixes two versions of a file, and reading fails where the first version was replaced.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, open_file: Callable[[str], RangedFile], root: str, tails: int = TAILS) -> None:
        """`open_file` opens a file by its path relative to `root`, an `s3://` address."""
        super().__init__()
        self._open_file, self._root, self._tails = open_file, root, tails
        self._opened: dict[str, RangedFile] = {}  # size and version of every file, and the tail of the latest
        self._with_tail: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def open(self, path: str, mode: str = "rb", **_: Any) -> RangedFile:
        """The file, which is read in pieces. Raises FileNotFoundError."""
        if mode != "rb":
            raise NotImplementedError(f"{path} can only be read here")
        known = self._opened.get(path)
        file = self._open_file(self._relative(path)) if known is None else known.copy(tail=True)
        if known is None or not known.tail:
            file = self._remember(path, file, first=known is None)
        return file.copy(tail=True)

    def _remember(self, path: str, file: RangedFile, *, first: bool) -> RangedFile:
        """Store a file with its tail, and drop the oldest tail. Returns the version of the file that is used."""
        with self._lock:
            if first and path in self._opened:  # another thread was faster, maybe with another version
                return self._opened[path]
            self._opened[path] = file
            self._with_tail[path] = None
            if len(self._with_tail) > self._tails:
                oldest, _ = self._with_tail.popitem(last=False)
                self._opened[oldest] = self._opened[oldest].copy(tail=False)
            return file

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, kind and size."""
        return {"name": path, "type": "file", "size": self.open(path).size}

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself: a view names each of its files."""
        return [path]

    def modified(self, path: str) -> datetime:
        """A constant: an opened file does not change for its connection."""
        return EPOCH

    def _relative(self, path: str) -> str:
        return path.removeprefix("s3://").removeprefix(self._root.removeprefix("s3://")).lstrip("/")
