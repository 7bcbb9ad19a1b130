"""A store as a file system of fsspec, for DuckDB: the same requests, patience and encryption as everything else."""

from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from resources.store import Store

EPOCH = datetime.fromtimestamp(0, UTC)


class StoreFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Reads a store's files by the addresses that `Store.uri` gives. Keeps nothing: a listing is never stale."""

    protocol = "s3"
    cachable = False

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """The file, read in pieces. Raises FileNotFoundError."""
        if mode != "rb":
            raise NotImplementedError(f"{path} can only be read here")
        return self._store.open(self._relative(path))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, kind and size."""
        with self.open(path) as file:
            return {"name": path, "type": "file", "size": file.seek(0, 2)}

    def glob(self, path: str, **_: Any) -> list[str]:
        """The one file that is named; views name every file of theirs."""
        return [path]

    def modified(self, path: str) -> Any:
        """A constant: what a view names is read afresh by every connection."""
        return EPOCH

    def _relative(self, path: str) -> str:
        bucket = self._store.root.removeprefix("s3://")
        return path.removeprefix("s3://").removeprefix(f"{bucket}/")
