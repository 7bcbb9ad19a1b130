"""The journal: every completion that was paid for, kept until its dialogues are released.

There is one folder per scope (an asset partition) and one file per writer; `journal_format` describes the files.

On a local disk a record is with the operating system before its completion is used, so that SIGKILL loses nothing that
was answered. On S3 records go up as immutable segments every few seconds and at the end: `append` never waits for the
store, `flush` does and belongs into a thread.
"""

import os
import secrets
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import quote

from resources.chat.journal_format import decode_file, encode_line
from resources.lake.store import Store, StoreError, StoreUnreachable

FOLDER = "_journal"
OUTAGE_SECONDS = 300.0


def scope_folder(scope: str) -> str:
    """The folder of a scope's journal: `scenario_dialogues/debate|orca_math-0003` has
    `_journal/scenario_dialogues/debate/orca_math-0003`."""
    parts = [quote(part, safe=" =+@") for part in scope.replace("|", "/").split("/")]
    if not all(part and not part.startswith(".") for part in parts):
        raise ValueError(f"{scope!r} is not a scope: its parts between / and | must not be empty or start with a dot")
    return "/".join([FOLDER, *parts])


class _Writer(ABC):
    """Where a journal's new records go."""

    @property
    def pending(self) -> int:
        return 0

    @abstractmethod
    def append(self, record: bytes) -> None: ...

    def check(self) -> None:  # noqa: B027
        pass

    def flush(self) -> None:  # noqa: B027
        pass

    @abstractmethod
    def close(self) -> None: ...


class _FileWriter(_Writer):
    """Appends to one local file; each record is with the operating system when `append` returns."""

    def __init__(self, store: Store, path: str) -> None:
        target = store.local_path(path)
        assert target is not None  # noqa: S101
        self._path = target
        self._length = 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error

    def append(self, record: bytes) -> None:
        try:
            written = os.write(self._file, record)
            while written < len(record):
                written += os.write(self._file, record[written:])
        except OSError as error:
            os.ftruncate(self._file, self._length)
            raise self._unwritable(error) from error
        self._length += len(record)

    def close(self) -> None:
        os.close(self._file)
        if not self._length:
            self._path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot write the journal {self._path}: {error.strerror}; "
            f"make room or make it writable and run the same command again, what was answered before is kept"
        )


class _SegmentWriter(_Writer):
    """Collects records and puts them as numbered, immutable files. `flush` and `close` wait for the store."""

    def __init__(self, store: Store, path: str, outage_seconds: float) -> None:
        self._store = store
        self._path = path
        self._outage_seconds = outage_seconds
        self._pending: list[bytes] = []
        self._number = 0
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._failure: Exception | None = None

    @property
    def pending(self) -> int:
        return len(self._pending)

    def append(self, record: bytes) -> None:
        self._pending.append(record)  # a late answer goes up after all if `close` reaches the store
        self.check()

    def check(self) -> None:
        since, failure = self._failing_since, self._failure
        if since is None or time.monotonic() - since <= self._outage_seconds:
            return
        passing = failure is None or isinstance(failure, StoreUnreachable)
        raise (StoreUnreachable if passing else StoreError)(
            f"answers could not be saved in {self._store.uri(self._path)} for {self._outage_seconds:g} s, so no more "
            f"are paid for ({failure or 'the store does not answer'}); run the same command again when it is writable"
        )

    def flush(self) -> None:
        with self._lock:  # a flush that was cancelled goes on in its thread
            taken = len(self._pending)
            if not taken:
                return
            self._failing_since = self._failing_since or time.monotonic()
            path = self._path.replace(".jsonl", f"-{self._number:05d}.jsonl")
            try:
                self._store.put(path, b"".join(self._pending[:taken]))
            except Exception as error:
                self._failure = error
                raise
            self._failing_since = self._failure = None
            self._number += 1
            del self._pending[:taken]

    def close(self) -> None:
        self.flush()


class ScopeJournal:
    """The completions kept for one scope, in memory and in the store.

    Attributes:
        damaged: lines, or stretches of bytes, that could not be read when loading.

    Args:
        store: the lake.
        scope: the asset partition.
        outage_seconds: how long a segment may be tried without success before no more records are taken.
    """

    def __init__(self, store: Store, scope: str, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._store = store
        self._folder = scope_folder(scope)
        self._outage_seconds = outage_seconds
        self._values: dict[bytes, bytes] = {}
        self._writer: _Writer | None = None
        self._unwritable: StoreError | None = None  # why the first record of a file could not be written
        self.damaged = 0

    def __len__(self) -> int:
        return len(self._values)

    def load(self) -> None:
        """Merge every file that any writer left for this scope. Blocking; call it once, before the rest.

        Raises:
            JournalError: a file has a format that this version does not know.
        """
        paths = _files(self._store, self._folder)
        with ThreadPoolExecutor(8) as readers:
            for path, data in zip(paths, readers.map(self._read, paths), strict=True):
                for record in decode_file(self._store.uri(path), data):
                    if record is None:
                        self.damaged += 1
                    else:
                        self._values.setdefault(*record)

    def get(self, key: bytes) -> bytes | None:
        """The JSON text of the completion kept under `key`."""
        return self._values.get(key)

    def append(self, key: bytes, completion: bytes) -> None:
        """Keep a completion. Locally it is with the operating system on return; on S3 it is in the next segment.

        Never waits for a remote store.

        Raises:
            StoreError: it cannot be written; the message says what to do.
        """
        if self._unwritable is not None:  # else each of the calls in flight would try to open a file
            raise StoreError(str(self._unwritable))
        first = self._writer is None
        try:
            self._writer = self._writer or self._open_writer()
            self._writer.append(encode_line(key, completion))
        except StoreError as error:
            if first:
                self.close()
                self._unwritable = error
            raise
        self._values[key] = completion

    def check(self) -> None:
        """Make sure, as far as is known, that a completion can be kept. Call it before one is paid for.

        Raises:
            StoreError: no file could be opened since the last `close`, or the store failed for `outage_seconds`.
        """
        if self._unwritable is not None:
            raise StoreError(str(self._unwritable))
        if self._writer is not None:
            self._writer.check()

    @property
    def pending(self) -> int:
        """Completions that are only in memory so far."""
        return self._writer.pending if self._writer else 0

    def flush(self) -> None:
        """Put the open segment, where the store has segments. Blocking."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Flush and close the file. Blocking; a later `append` opens a new file."""
        self._unwritable = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open_writer(self) -> _Writer:
        # A name sorts by its time; the random part separates two writers of one second.
        path = f"{self._folder}/{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.jsonl"
        if self._store.local_path(path) is not None:
            return _FileWriter(self._store, path)
        return _SegmentWriter(self._store, path, self._outage_seconds)

    def _read(self, path: str) -> bytes:
        try:
            return self._store.get(path)
        except FileNotFoundError:  # deleted since it was listed
            return b""


def delete_journal(store: Store, scope: str) -> int:
    """Delete a scope's journal, once its dialogues are released; the number of files deleted."""
    paths = _files(store, scope_folder(scope))
    for path in paths:
        store.delete(path)
    return len(paths)


def _files(store: Store, folder: str) -> list[str]:
    """The files of this very scope's journal, not of scopes below it, oldest first."""
    return [file.path for file in store.list(folder) if file.path.rpartition("/")[0] == folder]
