"""What was paid for completions and for own servers, kept for good, in the lake's `_spending/`.

Each engine writes a file of what its completions took. Each server that was started on a machine has a file of its own
with all its hours, which every engine that uses it replaces: however many runs share it, an hour is counted once.
Records that are not written any more are joined in one file.

Partitions are written again and journals are deleted after a release. Money that was paid for answers that nobody uses
any more stays here, at the prices of the moment at which it was paid.
"""

import json
import logging
import secrets
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import PurePosixPath

from resources.lake.store import Store, StoredFile, StoreError
from resources.model_servers.started.usage import RunningServer
from resources.outside_text import parse_json

FOLDER = "_spending"
READERS = 16  # files that are read at once
JOINED = f"{FOLDER}/joined.json"  # old records, see `join_old_records`
LEAST_JOINED = 50
MODEL_SERVERS, MODEL_SERVER = "model_servers", "model_server"  # scope and role of the hours of servers

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Spent:
    """What one role took on one day in one scope of a run, live or in batches; or the hours of a machine on one day.

    Cost is in US dollars.

    Cached tokens are a part of the prompt tokens, reasoning tokens one of the completion tokens.
    """

    day: date  # in UTC
    run: str  # of Dagster; empty outside of a run
    scope: str  # `scenario_dialogues/debate|orca_math-0003`
    role: str
    model: str
    batch: bool
    calls: int = 0  # completions
    wasted: int = 0  # bodies that were paid for and could not be used
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    hours: float = 0.0  # of a machine of one's own
    cost: float = 0.0


class SpendingLog:
    """What one engine pays. Its file is written as a whole, again and again, so that a killed run loses little of it.

    Args:
        store: the lake.
        run: Dagster's run, if there is one.
        name: of the file, where it is to replace one that was written before; by default it is a new one.
        servers: those that are in use now, by endpoint; their hours are recorded at each `save`.
    """

    def __init__(
        self,
        store: Store,
        run: str = "",
        name: str | None = None,
        servers: Mapping[str, RunningServer] | None = None,
    ) -> None:
        self._store = store
        self._run = run
        self._servers: Mapping[str, RunningServer] = {} if servers is None else servers
        self._rows: dict[tuple[date, str, str, str, bool], Spent] = {}
        self._saving = threading.Lock()
        self._name = name or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        self.unsaved = False

    def add(self, scope: str, role: str, model: str, counts: Mapping[str, float], *, batch: bool = False) -> None:
        """Add to the fields of `Spent` that `counts` names."""
        today = datetime.now(UTC).date()
        row = self._rows.setdefault(
            (today, scope, role, model, batch), Spent(today, self._run, scope, role, model, batch)
        )
        for name, count in counts.items():
            setattr(row, name, getattr(row, name) + count)
        self.unsaved = True

    def save(self) -> None:
        """Write what is new. Blocking.

        Raises:
            StoreError: the lake cannot be written.
        """
        with self._saving:
            if self.unsaved:
                self.unsaved = False
                try:
                    write_record(self._store, self._name, list(self._rows.values()))
                except BaseException:
                    self.unsaved = True
                    raise
            for server in list(self._servers.values()):
                write_record(self._store, f"server-{server.id}", server_hours(server, datetime.now(UTC).timestamp()))


def write_record(store: Store, name: str, rows: Iterable[Spent]) -> None:
    """Write a record as a whole, in place of the one of that name.

    Raises:
        StoreError: the lake cannot be written.
    """
    content = {"rows": [asdict(row) | {"day": row.day.isoformat()} for row in rows]}
    store.put(f"{FOLDER}/{name}.json", json.dumps(content, ensure_ascii=False).encode())


def server_hours(server: RunningServer, now: float) -> list[Spent]:
    """The hours of a server from its start until it will be stopped, where no client uses it after `now`, by day."""
    price = server.price_per_hour or 0.0
    return [
        Spent(day, "", MODEL_SERVERS, MODEL_SERVER, server.model, batch=False, hours=hours, cost=hours * price)
        for day, hours in hours_by_day(server.started, now + server.idle_seconds).items()
    ]


def hours_by_day(start: float, end: float) -> dict[date, float]:
    """The hours between two moments (seconds since 1970) on each day in UTC."""
    hours: dict[date, float] = {}
    begun = datetime.fromtimestamp(start, UTC)
    ended = datetime.fromtimestamp(end, UTC)
    while begun < ended:
        midnight = datetime(begun.year, begun.month, begun.day, tzinfo=UTC) + timedelta(days=1)
        hours[begun.date()] = (min(midnight, ended) - begun) / timedelta(hours=1)
        begun = midnight
    return hours


def read_spending(store: Store) -> list[Spent]:
    """Everything that was paid, see `in_order`. Raises StoreError: the lake cannot be read."""
    return in_order(read_records(store))


def in_order(records: Mapping[str, Iterable[Spent]]) -> list[Spent]:
    """The rows of all records by day; within a day, in the order of the records."""
    return sorted(chain.from_iterable(records.values()), key=lambda row: row.day)


def read_records(store: Store) -> dict[str, list[Spent]]:
    """The rows of every record by its name, the last written last. Damaged files are left out, with a warning.

    Raises:
        StoreError: the lake cannot be read.
    """
    own = _read_files(store, [file.path for file in _files(store)])
    # Read after the records' own files: those that another process deletes meanwhile are in it.
    joined = _read_joined(store)[0]
    return {name: _rows(f"record {name} of {store.uri(FOLDER)}", content) for name, content in (joined | own).items()}


def join_old_records(store: Store, before: datetime, least: int = LEAST_JOINED) -> None:
    """Move the records that were not written since `before` into one file, so that readers open few files.

    A record is in that file before its own file is deleted, and its own file counts where both are there. A process
    that is killed here, or that writes its record again, changes no sum.

    Args:
        store: the lake.
        before: some days ago.
        least: fewer files are left as they are.

    Raises:
        StoreError: the lake cannot be read or written.
    """
    old = [file.path for file in _files(store) if file.modified < before]
    if len(old) < least:
        return
    joined, version = _read_joined(store)
    content = json.dumps(joined | _read_files(store, old), ensure_ascii=False).encode()
    if store.replace_if_unchanged(JOINED, content, version):  # else another process does the same
        for path in old:
            store.delete(path)


def _files(store: Store) -> list[StoredFile]:
    """The files that are one record each, the last written last."""
    return sorted((file for file in store.list(FOLDER) if file.path != JOINED), key=lambda file: file.modified)


def _read_files(store: Store, paths: Iterable[str]) -> dict[str, str]:
    """The content of each record by its name, without those that are deleted meanwhile."""

    def read(path: str) -> tuple[str, str | None]:
        try:
            return PurePosixPath(path).stem, store.get(path).decode(errors="replace")
        except FileNotFoundError:
            return path, None

    with ThreadPoolExecutor(READERS) as readers:
        return {name: content for name, content in readers.map(read, paths) if content is not None}


def _read_joined(store: Store) -> tuple[dict[str, str], str | None]:
    """The content of each record of JOINED by its name, and the version of that file.

    Raises:
        StoreError: it is damaged.
    """
    try:
        content, version = store.get_with_version(JOINED)
        joined: dict[str, str] = json.loads(content)
    except FileNotFoundError:
        return {}, None
    except ValueError as error:
        raise StoreError(f"{store.uri(JOINED)} is damaged ({error}); restore it from a backup, or delete it") from None
    return joined, version


def _rows(address: str, content: str) -> list[Spent]:
    names = {field.name for field in fields(Spent)}
    try:
        rows: Iterable[dict[str, object]] = parse_json(content)["rows"]
        return [
            Spent(
                **{name: value for name, value in row.items() if name in names}  # type: ignore[arg-type]
                | {"day": date.fromisoformat(str(row["day"]))}
            )
            for row in rows
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        logger.warning("%s is damaged: what it recorded is not in the sums of what was paid", address)
        return []
