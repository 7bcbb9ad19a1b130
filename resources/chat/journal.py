"""The journal: every completion that was paid for, kept until its dialogues are released.

One folder a scope (an asset partition), one file a writer. A file is a header, then records:

    header   8 bytes "MJOURNAL", 2 bytes format version, 4 bytes crc32 of the ten before
    record   4 bytes mark, 4 bytes length of the payload, 4 bytes crc32 of length and payload, the payload
    payload  32 bytes key, then the value: opaque here

On a local disk a record is handed to the operating system before its completion is used, so that SIGKILL loses
nothing that was answered. On S3 the same bytes go up as immutable segments every few seconds and at the end: `append`
never waits for the store, `flush` does and belongs into a thread.
Loading merges all files of a scope. A damaged record is dropped and counted, and reading goes on at the next mark.
"""

import os
import secrets
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote
from zlib import crc32

from resources.lake.store import Store, StoreError, StoreUnreachable

FOLDER = "_journal"
FORMAT_VERSION = 1
KEY_BYTES = 32
SEGMENT_SECONDS = 5.0
OUTAGE_SECONDS = 300.0  # how long a segment may be tried in vain before nothing more is taken

_MAGIC = b"MJOURNAL"
_HEADER = struct.Struct(">8sHI")
_MARK = b"\xf5\xc3RJ"  # 0xF5 never occurs in UTF-8 text
_RECORD = struct.Struct(">4sII")
_LENGTH = struct.Struct(">I")


class JournalError(RuntimeError):
    """A journal cannot be read by this version. The message says where it lies and what to do."""


def scope_folder(scope: str) -> str:
    """Where a scope's journal lies: `scenario_dialogues/debate|orca_math-0003` becomes
    `_journal/scenario_dialogues/debate/orca_math-0003`."""
    parts = [quote(part, safe=" =+@") for part in scope.replace("|", "/").split("/")]
    if not all(part and not part.startswith(".") for part in parts):
        raise ValueError(f"{scope!r} is not a scope: its parts between / and | must not be empty or start with a dot")
    return "/".join([FOLDER, *parts])


def file_header(version: int = FORMAT_VERSION) -> bytes:
    """The bytes that a journal file starts with."""
    return _HEADER.pack(_MAGIC, version, crc32(_MAGIC + version.to_bytes(2, "big")))


def encode_record(key: bytes, value: bytes) -> bytes:
    """One record. `key` has 32 bytes."""
    payload = key + value
    return _RECORD.pack(_MARK, len(payload), crc32(payload, crc32(_LENGTH.pack(len(payload))))) + payload


def decode_records(data: bytes, origin: str = "journal") -> Iterator[tuple[bytes, bytes] | None]:
    """The records of one file in order; `None` for each damaged stretch.

    Raises:
        JournalError: the file was written by a newer version.
    """
    position = 0
    if len(data) >= _HEADER.size:
        magic, version, checksum = _HEADER.unpack_from(data)
        if magic == _MAGIC and checksum == crc32(data[:10]):
            if version > FORMAT_VERSION:
                raise JournalError(
                    f"{origin} has journal format {version}, this version reads up to {FORMAT_VERSION}: "
                    f"use the newer version, or delete the file and pay for its answers again"
                )
            position = _HEADER.size
    while position < len(data):
        record = _record_at(data, position)
        if record is None:
            yield None
            position = _next_record(data, position + 1)
        else:
            start, end = record
            yield data[start : start + KEY_BYTES], data[start + KEY_BYTES : end]
            position = end


def _record_at(data: bytes, position: int) -> tuple[int, int] | None:
    """Start and end of the payload of the sound record at `position`."""
    start = position + _RECORD.size
    if start > len(data):
        return None
    mark, length, checksum = _RECORD.unpack_from(data, position)
    end = start + length
    if mark != _MARK or length < KEY_BYTES or end > len(data):
        return None
    if crc32(memoryview(data)[start:end], crc32(_LENGTH.pack(length))) != checksum:
        return None
    return start, end


def _next_record(data: bytes, position: int) -> int:
    """The position of the next sound record, or the end."""
    while (position := data.find(_MARK, position)) >= 0:
        if _record_at(data, position):
            return position
        position += 1
    return len(data)


class _Writer(Protocol):
    @property
    def pending(self) -> int: ...
    def append(self, record: bytes) -> None: ...
    def check(self) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class _FileWriter:
    """Appends to one local file; each record is with the operating system when `append` returns."""

    pending = 0

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
        try:
            self.append(file_header())
        except StoreError:
            os.close(self._file)
            target.unlink(missing_ok=True)
            raise

    def append(self, record: bytes) -> None:
        try:
            written = os.write(self._file, record)
            while written < len(record):
                written += os.write(self._file, record[written:])
        except OSError as error:
            os.ftruncate(self._file, self._length)
            raise self._unwritable(error) from error
        self._length += len(record)

    def check(self) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._file)

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot write the journal {self._path}: {error.strerror}; "
            f"make room or make it writable and run the same command again, what was answered before is kept"
        )


class _SegmentWriter:
    """Collects records and puts them as numbered, immutable files. `flush` and `close` wait for the store."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self._pending: list[bytes] = []
        self._number = 0
        self._lock = threading.Lock()
        self._trying_since: float | None = None  # the segment that could not be put so far
        self._failure: Exception | None = None

    @property
    def pending(self) -> int:
        return len(self._pending)

    def append(self, record: bytes) -> None:
        self._pending.append(record)  # an answer that came in too late goes up after all if `close` finds the store
        self.check()

    def check(self) -> None:
        since, failure = self._trying_since, self._failure
        if since is None or time.monotonic() - since <= OUTAGE_SECONDS:
            return
        passing = failure is None or isinstance(failure, StoreUnreachable)
        raise (StoreUnreachable if passing else StoreError)(
            f"answers could not be kept in {self._store.uri(self._path)} for {OUTAGE_SECONDS:g} s, so no more are paid "
            f"for ({failure or 'the store does not answer'}); run the same command again when it can be written"
        )

    def flush(self) -> None:
        with self._lock:  # a flush that was cancelled goes on in its thread
            taken = len(self._pending)
            if not taken:
                return
            path = self._path.replace(".journal", f"-{self._number:05d}.journal")
            self._trying_since = self._trying_since or time.monotonic()
            try:
                self._store.put(path, b"".join([file_header(), *self._pending[:taken]]))
            except Exception as error:
                self._failure = error
                raise
            self._trying_since = self._failure = None
            self._number += 1
            del self._pending[:taken]

    def close(self) -> None:
        self.flush()


class ScopeJournal:
    """The completions kept for one scope, in memory and in the store.

    Attributes:
        damaged: stretches of bytes that could not be read when loading.
    """

    def __init__(self, store: Store, scope: str) -> None:
        self._store = store
        self._folder = scope_folder(scope)
        self._values: dict[bytes, bytes] = {}
        self._writer: _Writer | None = None
        self._refused: StoreError | None = None  # why no file could be begun
        self.damaged = 0

    def __len__(self) -> int:
        return len(self._values)

    def load(self) -> None:
        """Merge every file that any writer left for this scope. Blocking; call it once, before the rest.

        Raises:
            JournalError: a file was written by a newer version.
        """
        paths = _files(self._store, self._folder)
        with ThreadPoolExecutor(8) as readers:
            for path, data in zip(paths, readers.map(self._read, paths), strict=True):
                for record in decode_records(data, self._store.uri(path)):
                    if record is None:
                        self.damaged += 1
                    else:
                        self._values.setdefault(*record)

    def get(self, key: bytes) -> bytes | None:
        """The value kept under `key`."""
        return self._values.get(key)

    def append(self, key: bytes, value: bytes) -> None:
        """Keep `value`. Locally it is with the operating system on return; on S3 it goes up with the next segment.

        Never waits for a store elsewhere.

        Raises:
            StoreError: it cannot be written; the message says what to do.
        """
        if self._writer is None:
            self._writer = self._begin()
        self._writer.append(encode_record(key, value))
        self._values[key] = value

    def check(self) -> None:
        """Whether a completion could be kept, as far as is known: to be asked before one is paid for.

        Raises:
            StoreError: no file could be begun since the last `close`, or a segment was tried for `OUTAGE_SECONDS`.
        """
        if self._refused is not None:
            raise StoreError(str(self._refused))
        if self._writer is not None:
            self._writer.check()

    @property
    def pending(self) -> int:
        """Completions that are in memory alone so far."""
        return self._writer.pending if self._writer else 0

    def flush(self) -> None:
        """Put the open segment, where the store has segments. Blocking."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Flush and let go of the file. Blocking; a later `append` starts a new file."""
        self._refused = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _begin(self) -> _Writer:
        """A writer with a file of its own. It is tried once: as many calls as are in flight would else try it each."""
        if self._refused is not None:
            raise StoreError(str(self._refused))
        # A name sorts by its time; the random part keeps two writers of one second apart.
        path = f"{self._folder}/{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.journal"
        local = self._store.local_path(path) is not None
        try:
            return (_FileWriter if local else _SegmentWriter)(self._store, path)
        except StoreError as error:
            self._refused = error
            raise

    def _read(self, path: str) -> bytes:
        try:
            return self._store.get(path)
        except FileNotFoundError:  # swept since it was listed
            return b""


def delete_journal(store: Store, scope: str) -> int:
    """Delete a scope's journal, once its dialogues are released; the number of files deleted."""
    paths = _files(store, scope_folder(scope))
    for path in paths:
        store.delete(path)
    return len(paths)


def _files(store: Store, folder: str) -> list[str]:
    """The journal files of this very scope, not of scopes below it, oldest first."""
    listed = (file.path for file in store.list(folder))
    return [path for path in listed if path.endswith(".journal") and path.rpartition("/")[0] == folder]
