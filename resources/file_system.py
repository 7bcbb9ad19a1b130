"""An S3 store as a file system of fsspec, for DuckDB: the same requests and patience as everywhere else."""

from collections import OrderedDict
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from fsspec import AbstractFileSystem

from resources.s3_store import RangedFile, S3Store

EPOCH = datetime.fromtimestamp(0, UTC)
REMEMBERED = 256  # files whose tail, where Parquet keeps its footer, is held: at most 16 MiB


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
        self._opened: OrderedDict[str, RangedFile] = OrderedDict()
        self._lock = Lock()

    def open(self, path: str, mode: str = "rb", **_: Any) -> RangedFile:
        """The file, read in pieces. Raises FileNotFoundError."""
        if mode != "rb":
            raise NotImplementedError(f"{path} can only be read here")
        with self._lock:
            known = self._opened.get(path)
        if known is None:
            known = self._store.open(self._relative(path))
            with self._lock:
                self._opened[path] = known
                if len(self._opened) > REMEMBERED:
                    self._opened.popitem(last=False)
        return known.copy()

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
