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
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import quote

from resources.chat.journal_format import decode_file, encode_line
from resources.chat.serialisation import decode_completion
from resources.lake.store import Store, StoreError, StoreUnreachable

FOLDER = "_journal"
SUFFIXES = (".jsonl", ".journal")  # a later format would have a name such as .jsonl2
OUTAGE_SECONDS = 300.0


def scope_path(scope: str) -> str:
    """A scope as a path: `scenario_dialogues/debate|orca_math-0003` is `scenario_dialogues/debate/orca_math-0003`."""
    parts = [quote(part, safe=" =+@") for part in scope.replace("|", "/").split("/")]
    if not all(part and not part.startswith(".") for part in parts):
        raise ValueError(f"{scope!r} is not a scope: its parts between / and | must not be empty or start with a dot")
    return "/".join(parts)


def scope_folder(scope: str) -> str:
    """The folder of a scope's journal, such as `_journal/scenario_dialogues/debate/orca_math-0003`."""
    return f"{FOLDER}/{scope_path(scope)}"


class _LocalFile:
    """A file of this machine's disk that is appended to."""

    def __init__(self, store: Store, path: str) -> None:
        target = store.local_path(path)
        assert target is not None  # noqa: S101
        self._path = target
        self._descriptor = -1
        self.length = 0

    def append(self, line: bytes) -> None:
        """Hand a whole line to the operating system, or leave the file as it was.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            if self._descriptor < 0:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            if self._descriptor >= 0:
                os.ftruncate(self._descriptor, self.length)
            raise StoreError(
                f"cannot write the journal {self._path}: {error.strerror}; make room or make it writable and run the "
                "same command again, what was answered before is kept"
            ) from error
        self.length += len(line)

    def close(self) -> None:
        """Close the file once it is on the disk, and delete it if it is empty."""
        if self._descriptor >= 0:
            if self.length:
                os.fsync(self._descriptor)
            else:
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)


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
        self.damaged = 0
        self._store = store
        self._folder = scope_folder(scope)
        self._local = store.local_path(self._folder) is not None
        self._outage_seconds = outage_seconds
        self._values: dict[bytes, bytes] = {}
        self._file: _LocalFile | None = None
        self._unwritable: StoreError | None = None  # why the first line of a local file could not be written
        self._segment: list[bytes] = []
        self._flushing = threading.Lock()
        self._failing_since: float | None = None
        self._failure: Exception | None = None

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
                        key, completion = record
                        kept = self._values.get(key)
                        if kept is None or decode_completion(kept) is None:  # else it would be paid for in every run
                            self._values[key] = completion

    def get(self, key: bytes) -> bytes | None:
        """The JSON text of the completion kept under `key`."""
        return self._values.get(key)

    def append(self, key: bytes, completion: bytes) -> None:
        """Keep a completion. Locally it is with the operating system on return; on S3 it is in the next segment.

        Never waits for a remote store.

        Raises:
            StoreError: it cannot be written; the message says what to do.
        """
        line = encode_line(key, completion)
        if self._local:
            self.check()
            self._append_locally(line)
        else:
            self._segment.append(line)  # a late answer goes up after all if `close` reaches the store
            self.check()
        self._values[key] = completion

    def check(self) -> None:
        """Make sure, as far as is known, that a completion can be kept. Call it before one is paid for.

        Raises:
            StoreError: no file could be opened since the last `close`, or the store failed for `outage_seconds`.
        """
        if self._unwritable is not None:
            raise StoreError(str(self._unwritable))
        since, failure = self._failing_since, self._failure
        if since is None or time.monotonic() - since <= self._outage_seconds:
            return
        passing = failure is None or isinstance(failure, StoreUnreachable)
        raise (StoreUnreachable if passing else StoreError)(
            f"answers could not be saved in {self._store.uri(self._folder)} for {self._outage_seconds:g} s, so no more "
            f"are paid for ({failure or 'the store does not answer'}); run the same command again when it is writable"
        )

    @property
    def pending(self) -> int:
        """Completions that are only in memory so far."""
        return len(self._segment)

    def flush(self) -> None:
        """Put the open segment, where the store has segments. Blocking."""
        with self._flushing:  # a flush that was cancelled goes on in its thread
            taken = len(self._segment)
            if not taken:
                return
            self._failing_since = self._failing_since or time.monotonic()
            try:
                self._store.put(self._new_path(), b"".join(self._segment[:taken]))
            except Exception as error:
                self._failure = error
                raise
            self._failing_since = self._failure = None
            del self._segment[:taken]

    def close(self) -> None:
        """Flush and close the file. Blocking; a later `append` opens a new file."""
        self._unwritable = None
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append_locally(self, line: bytes) -> None:
        file = self._file = self._file or _LocalFile(self._store, self._new_path())
        try:
            file.append(line)
        except StoreError as error:
            if not file.length:  # else each of the calls in flight would try to open a file
                self.close()
                self._unwritable = error
            raise

    def _new_path(self) -> str:
        # A name sorts by its time; the random part separates two writers of one moment.
        return f"{self._folder}/{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.jsonl"

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
    """The files of this very scope's journal, not of scopes below it and not of other programs, oldest first."""
    paths = (PurePosixPath(file.path) for file in store.list(folder))
    return [str(path) for path in paths if str(path.parent) == folder and path.suffix.startswith(SUFFIXES)]
