"""What is submitted to provider batches: one file per scope (an asset partition) in the lake, changed atomically.

A batch is in the file *before* it is created at the provider, under a mark that the provider keeps with it. So a
process that was killed, or a lost answer, never leads to a second submission: the provider is asked for the mark first.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from resources.chat.journal import scope_path
from resources.claims import claim_partition
from resources.lake.store import Store, StoreError, StoreUnreachable

FOLDER = "_batches"
READERS = 16  # ledgers that are read at once
ATTEMPTS = 20  # to change a ledger that others change
LOOK_SECONDS = 0.1


class Submitted(BaseModel):
    """One request of a batch."""

    role: str
    characters: int


class Batch(BaseModel):
    """One batch whose answers are not collected yet. `id` is None until the provider answered that it is created."""

    mark: str
    endpoint: str
    model: str
    requests: dict[str, Submitted]  # by journal key in hexadecimal digits
    submitted_at: datetime
    run: str  # of Dagster, for the record of what was paid
    host: str
    reserved_cost: float = 0.0  # US dollars, at most
    id: str | None = None

    @property
    def prompt_tokens(self) -> int:
        """What its requests take of the provider's queue, at four characters per token."""
        return sum(-(-one.characters // 4) for one in self.requests.values())


class LeftFiles(BaseModel):
    """The files at a provider of a batch that is not open any more."""

    mark: str
    endpoint: str
    submitted_at: datetime
    files: list[str]  # ids


class Failed(BaseModel):
    """A request that batches did not answer: how often, since when, and whether the endpoint refused it."""

    tries: int = 0
    since: datetime
    refused: bool = False


class Ledger(BaseModel):
    """The batches of one scope.

    Attributes:
        scope: such as `scenario_dialogues/debate|orca_math-0003`.
        open: batches that are submitted and not collected.
        failed: requests that ended without an answer, by journal key.
        left_files: what is to be deleted at the providers.
        queue_full: whether the provider refused the last batch because too much is in its queue.
        postponed: requests that wait for room in the queue.
    """

    scope: str
    open: list[Batch] = Field(default_factory=list)
    failed: dict[str, Failed] = Field(default_factory=dict)
    left_files: list[LeftFiles] = Field(default_factory=list)
    queue_full: bool = False
    postponed: int = 0

    @property
    def partition(self) -> str:
        """The partition key: `debate|orca_math-0003`."""
        return self.scope.partition("/")[2]

    def has_open(self, mark: str) -> bool:
        """Whether the batch of this mark is open."""
        return any(batch.mark == mark for batch in self.open)

    @property
    def submitted(self) -> set[str]:
        """The journal keys of the requests in open batches."""
        return {key for batch in self.open for key in batch.requests}


def ledger_path(scope: str) -> str:
    """Where the ledger of a scope is."""
    return f"{FOLDER}/{scope_path(scope)}.json"


def read_ledger(store: Store, scope: str) -> Ledger:
    """The ledger of a scope; an empty one where nothing was submitted.

    Raises:
        StoreError: it cannot be read.
    """
    return _read(store, ledger_path(scope), scope)[0]


def all_ledgers(store: Store) -> list[Ledger]:
    """Every ledger of a lake, in the order of the scopes."""
    with ThreadPoolExecutor(READERS) as readers:
        found = list(readers.map(lambda file: _read(store, file.path, "")[0], store.list(FOLDER)))
    return [ledger for ledger in found if ledger.scope]


def change_ledger(store: Store, scope: str, edit: Callable[[Ledger], Any]) -> Ledger:
    """Change a ledger atomically; `edit` is called again with the newer one where another process was faster.

    Raises:
        StoreError: it cannot be read or written.
    """
    path = ledger_path(scope)
    for attempt in range(ATTEMPTS):
        ledger, version = _read(store, path, scope)
        edit(ledger)
        if store.replace_if_unchanged(path, ledger.model_dump_json(indent=1).encode(), version):
            return ledger
        time.sleep(LOOK_SECONDS * attempt)
    raise StoreUnreachable(f"{store.uri(path)} is changed by others all the time; run the same command again")


def delete_ledger(store: Store, scope: str) -> None:
    """Delete the ledger of a scope that is released, unless a batch is open or files are left at a provider."""
    ledger = read_ledger(store, scope)
    if not ledger.open and not ledger.left_files:
        store.delete(ledger_path(scope))


def queued_tokens(store: Store) -> Counter[tuple[str, str]]:
    """Prompt tokens in open batches, by endpoint and model."""
    queued: Counter[tuple[str, str]] = Counter()
    for ledger in all_ledgers(store):
        for batch in ledger.open:
            queued[batch.endpoint, batch.model] += batch.prompt_tokens
    return queued


def setting_id(mark: str, created: str) -> Callable[[Ledger], None]:
    """The change of a ledger that notes which batch its provider created."""

    def edit(ledger: Ledger) -> None:
        for batch in ledger.open:
            if batch.mark == mark:
                batch.id = created

    return edit


def confirming(batch: Batch, file: str) -> Callable[[Ledger], None]:
    """The change of a ledger that says that a batch is created now of a file.

    Where another process has removed the batch, the file is left to be deleted.
    """

    def edit(ledger: Ledger) -> None:
        for one in ledger.open:
            if one.mark == batch.mark:
                one.submitted_at = now()
        if not ledger.has_open(batch.mark):
            leave_files(ledger, batch, [file])

    return edit


def removing(
    mark: str, files: Sequence[str] = (), only_if: Callable[[Batch], bool] = lambda _: True
) -> Callable[[Ledger], None]:
    """The change of a ledger that removes a batch, where `only_if` is true of it as it is then.

    Its `files`, and those that were uploaded under its mark, are left to be deleted.
    """

    def edit(ledger: Ledger) -> None:
        for batch in [one for one in ledger.open if one.mark == mark and only_if(one)]:
            ledger.open.remove(batch)
            leave_files(ledger, batch, files)

    return edit


def leave_files(ledger: Ledger, batch: Batch, files: Sequence[str]) -> None:
    """Note in a ledger which files are to be deleted at the provider of a batch."""
    ledger.left_files.append(
        LeftFiles(mark=batch.mark, endpoint=batch.endpoint, submitted_at=batch.submitted_at, files=list(files))
    )


def forgetting(deleted: Sequence[LeftFiles]) -> Callable[[Ledger], None]:
    """The change of a ledger that says that files are deleted."""

    def edit(ledger: Ledger) -> None:
        ledger.left_files = [left for left in ledger.left_files if left not in deleted]

    return edit


@contextmanager
def only_process(store: Store, scope: str) -> Iterator[None]:
    """Wait until no other process of this machine submits or collects batches of a scope, and then be the one."""
    while (claim := claim_partition(store.uri(ledger_path(scope)))) is None:
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        claim.release()


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def _read(store: Store, path: str, scope: str) -> tuple[Ledger, str | None]:
    try:
        content, version = store.get_with_version(path)
    except FileNotFoundError:
        return Ledger(scope=scope), None
    try:
        return Ledger.model_validate_json(content), version
    except ValidationError:
        raise StoreError(
            f"{store.uri(path)} is not a list of batches of this version: restore it, or delete it where its batches "
            "are known to have ended; requests in open batches are then paid for again"
        ) from None
