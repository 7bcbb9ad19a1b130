"""One run over many partitions: claim each, skip what is current, make the others, write them, report what happened.

There is no barrier between partitions: the next one is read as soon as a slot is free, so that the last dialogues of
one partition and the first of the next share the endpoint. Nothing here knows Dagster; `run_report` reports to it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from resources.claims import PartitionClaim, claim_partition
from resources.lake.store import StoreUnreachable
from resources.lake.tables import TableError
from resources.progress import PartitionProgress, Update

SHOWN_KEYS = 8

logger = logging.getLogger(__name__)

Inputs = TypeVar("Inputs")
Made = TypeVar("Made")
Result = TypeVar("Result")


class PartitionError(Exception):
    """One partition cannot be made. The message says what is missing and what to do; the run continues with others."""


class PartitionWaits(Exception):
    """One partition waits for something that a later run finds. The message says for what; the run continues."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a partition's writing reports."""

    metadata: Mapping[str, Any]  # for the UI, in order of interest
    gate_failure: str = ""  # why the partition's own gate failed; empty where it passed


@dataclass(slots=True)
class Outcomes:
    """The partitions of a run, and what became of each so far. It is updated as the run goes on."""

    keys: Sequence[str]
    written: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # metadata, by partition key
    current: set[str] = field(default_factory=set)  # of the written ones: they were there, and nothing was done
    gate_failures: dict[str, str] = field(default_factory=dict)  # written, but the gate failed: why
    failures: dict[str, str] = field(default_factory=dict)  # not made: why
    waiting: dict[str, str] = field(default_factory=dict)  # not made yet: what for

    def add(self, key: str, written: Written) -> None:
        """Note a partition that is written."""
        self.written[key] = written.metadata
        if written.gate_failure:
            self.gate_failures[key] = written.gate_failure

    def summary(self) -> str:
        """How many partitions are written, how many of them were there before, and which are left, in one sentence."""
        done = {*self.written, *self.failures, *self.waiting}
        left = [key for key in self.keys if key not in done]
        rest = f"left: {shown_keys(left)}" if left else "nothing is left"
        rest = f"{len(self.waiting)} wait; {rest}" if self.waiting else rest
        before = f" ({len(self.current)} of them before this run)" if self.current else ""
        return f"{len(self.written)} of {len(self.keys)} partitions are written{before}; {rest}"


class PartitionWork(Protocol[Inputs, Made]):
    """What a stage does with one partition. Keys are Dagster's partition keys, such as `debate|x-0003`.

    All methods but `open` and `run` are called in a thread. Those that get a key may raise `PartitionError`.
    """

    def is_current(self, key: str) -> bool:
        """Whether the partition is made of what it would be made of now, so that nothing has to be done."""
        ...

    def describe(self, key: str) -> Mapping[str, Any]:
        """The metadata of a partition that is current."""
        ...

    def read(self, key: str) -> Inputs:
        """What `run` needs."""
        ...

    def open(self) -> AbstractAsyncContextManager[asyncio.Semaphore]:
        """Open what all partitions share, such as a chat engine. Called once, for the first partition to be made.

        Its value holds the slots: how many units of work (dialogues, say) may be under way at once in all partitions.
        """
        ...

    async def run(self, key: str, inputs: Inputs, slots: asyncio.Semaphore) -> Made:
        """Make the partition. Every unit of work starts at once and waits for a slot: `async with slots`.

        Raises:
            PartitionWaits: a later run continues it.
        """
        ...

    def write(self, key: str, inputs: Inputs, made: Made) -> Written:
        """Write the partition with its gate."""
        ...


async def run_partitions(
    work: PartitionWork[Inputs, Made],
    outcomes: Outcomes,
    *,
    address: str,
    fails_partition: tuple[type[Exception], ...] = (),
    claim_partition: Callable[[str], PartitionClaim | None] = claim_partition,
    look_seconds: float = 1.0,
) -> None:
    """Make every partition of `outcomes.keys` that is not current, and note in `outcomes` what became of each.

    A partition that another run of this machine has claimed is tried again until that run is done. A partition whose
    work is finished is written even where the run ends meanwhile.

    Args:
        work: what the stage does with a partition.
        outcomes: updated on the way; it holds what was done also where an exception ends the run.
        address: of the table. A partition is claimed by its address below it.
        fails_partition: errors, beside `PartitionError` and `TableError`, that fail one partition and not the run.
        claim_partition: gives the right to make a partition; None while another run has it.
        look_seconds: the pause before a partition that another run has claimed is tried again.

    Raises:
        StoreUnreachable: no partition can be read or written at the moment.
        Exception: whatever else `work` raises; the first error cancels what is under way and is raised as it is.
    """
    fails: tuple[type[Exception], ...] = (PartitionError, TableError, *fails_partition)
    waiting, warned = list(outcomes.keys), set[str]()
    slots: asyncio.Semaphore | None = None
    async with AsyncExitStack() as shared, first_error_group() as group:
        while waiting:
            claimed_elsewhere = []
            for key in waiting:
                if slots is not None:
                    async with slots:  # behind all units of work of the partitions before
                        pass
                claimed = claim_partition(f"{address}/{key}")
                if claimed is None:
                    claimed_elsewhere.append(key)
                    continue
                shared.callback(claimed.release)  # however the run ends
                with _noted_failure(key, outcomes, fails):
                    if not await asyncio.to_thread(_describe_current, work, key, outcomes):
                        inputs = await asyncio.to_thread(work.read, key)
                        if slots is None:
                            slots = await shared.enter_async_context(work.open())
                        making = group.create_task(_make(work, key, inputs, slots, outcomes, fails))
                        making.add_done_callback(partial(_release, claimed))
                        await asyncio.sleep(0)  # its units of work queue for slots before the next partition is read
                        continue
                claimed.release()
            for key in set(claimed_elsewhere) - warned:
                logger.warning("%s is being made by another run; this run waits for it", key)
            warned.update(claimed_elsewhere)
            if waiting := claimed_elsewhere:
                await asyncio.sleep(look_seconds)


def _release(claimed: PartitionClaim, _made: "asyncio.Task[None]") -> None:
    claimed.release()


def _describe_current(work: PartitionWork[Inputs, Made], key: str, outcomes: Outcomes) -> bool:
    if current := work.is_current(key):
        outcomes.written[key] = work.describe(key)
        outcomes.current.add(key)
    return current


async def _make(
    work: PartitionWork[Inputs, Made],
    key: str,
    inputs: Inputs,
    slots: asyncio.Semaphore,
    outcomes: Outcomes,
    fails: tuple[type[Exception], ...],
) -> None:
    async def write(made: Made) -> None:
        with _noted_failure(key, outcomes, fails):
            outcomes.add(key, await asyncio.to_thread(work.write, key, inputs, made))

    with _noted_failure(key, outcomes, fails):
        try:
            made = await work.run(key, inputs, slots)
        except PartitionWaits as waits:
            outcomes.waiting[key] = str(waits)
            return
        writing = asyncio.create_task(write(made))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])  # what is paid for is written before the run ends
            raise


@contextmanager
def _noted_failure(key: str, outcomes: Outcomes, fails: tuple[type[Exception], ...]) -> Iterator[None]:
    """Note an error that fails this partition alone; any other one passes."""
    try:
        yield
    except StoreUnreachable:  # says nothing about this partition
        raise
    except fails as error:
        outcomes.failures[key] = str(error)


class RunProgress:
    """How many units of work (dialogues, say) of a run are done, in all and by partition under way.

    Args:
        update: shows it.
        words: further words for people, such as the calls per second.
        calls: returns how many model calls were answered, where the time left is to follow from calls: units of work
            often end together, long after their first calls.
    """

    def __init__(self, update: Update, words: Callable[[], str] = str, calls: Callable[[], int] = int) -> None:
        self.done, self.total, self.words, self.calls = 0, 0, words, calls
        self.expected_calls = 0
        self._update = update
        self._under_way: dict[str, PartitionProgress] = {}

    @contextmanager
    def partition(self, key: str, total: int, calls: int = 0) -> Iterator[Callable[..., None]]:
        """Count the units of one partition: call what it returns after each of them, with a detail of the partition.

        Args:
            key: of the partition.
            total: how many units it has.
            calls: how many model calls they are expected to take.
        """
        self.total += total
        self.expected_calls += calls
        self._under_way[key] = PartitionProgress(key, 0, total)
        self._report()

        def one_more(detail: str = "") -> None:
            self.done += 1
            self._under_way[key] = PartitionProgress(key, self._under_way[key].done + 1, total, detail)
            self._report()

        try:
            yield one_more
        finally:
            del self._under_way[key]

    def _report(self) -> None:
        self._update(self.done, self.total, self.words, lambda: list(self._under_way.values()), self._share_done)

    def _share_done(self) -> float:
        """How much is done, 0..1: by units, or by calls where these are ahead and not more than were expected."""
        by_units, calls = self.done / max(self.total, 1), self.calls()
        return by_units if calls > self.expected_calls or not calls else max(by_units, calls / self.expected_calls)


@asynccontextmanager
async def first_error_group() -> AsyncIterator[asyncio.TaskGroup]:
    """An `asyncio.TaskGroup` that raises the first error as it is. The error cancels the other tasks."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def gather_results(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of all coroutines, run together, in order. See `first_error_group` for errors."""
    async with first_error_group() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]


def shown_keys(keys: Sequence[str]) -> str:
    """The first keys by name, and how many more there are."""
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(keys[:SHOWN_KEYS]) + more
