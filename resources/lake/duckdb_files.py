"""An S3 store as a file system of fsspec, for DuckDB: the same requests and patience as everywhere else."""

from collections import OrderedDict
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from fsspec import AbstractFileSystem

from resources.lake.s3 import RangedFile, S3Store

EPOCH = datetime.fromtimestamp(0, UTC)
TAILS = 256  # files whose tail, where Parquet keeps its footer, is held: at most 16 MiB


class StoreFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Reads a store's files by the addresses that `Store.uri` gives.

    DuckDB opens a file several times a query. One that was opened before is taken as it was then: a connection never
    mixes two versions of a file, and says so where it can no longer read the first.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, store: S3Store) -> None:
        super().__init__()
        self._store = store
        self._opened: dict[str, RangedFile] = {}  # every file's size and version, the latest ones' tails as well
        self._with_tail: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def open(self, path: str, mode: str = "rb", **_: Any) -> RangedFile:
        """The file, read in pieces. Raises FileNotFoundError."""
        if mode != "rb":
            raise NotImplementedError(f"{path} can only be read here")
        with self._lock:
            known = self._opened.get(path)
        if known is None:
            known = self._remember(path, self._store.open(self._relative(path)), first=True)
        elif known.size and not known.has_tail:
            known = self._remember(path, known.with_tail(), first=False)
        return known.copy()

    def _remember(self, path: str, file: RangedFile, *, first: bool) -> RangedFile:
        """Keep a file with its tail, and let go of the tail that was fetched first; the version that counts."""
        with self._lock:
            if first and path in self._opened:  # another thread was faster, maybe with another version
                return self._opened[path]
            self._opened[path] = file
            self._with_tail[path] = None
            if len(self._with_tail) > TAILS:
                oldest, _ = self._with_tail.popitem(last=False)
                self._opened[oldest] = self._opened[oldest].without_tail()
            return file

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, kind and size."""
        return {"name": path, "type": "file", "size": self.open(path).size}

    def glob(self, path: str, **_: Any) -> list[str]:
        """The one file that is named; views name every file of theirs."""
        return [path]

    def modified(self, path: str) -> datetime:
        """A constant: what a connection has opened does not change for it."""
        return EPOCH

    def _relative(self, path: str) -> str:
        return path.removeprefix("s3://").removeprefix(self._store.root.removeprefix("s3://")).lstrip("/")
