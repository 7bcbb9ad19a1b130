"""The journals of the scopes that an engine has in use."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from resources.chat.journal import ScopeJournal
from resources.chat.settings import EngineSettings
from resources.lake.store import Store

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(slots=True)
class OpenScope:
    """One scope in use."""

    journal: ScopeJournal
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    calls: dict[bytes, "asyncio.Future[None]"] = field(default_factory=dict)  # in progress, by key


class ScopeJournals:
    """Opens journals, saves them regularly where the store is remote, and closes those no longer in use.

    Args:
        store: the lake.
        settings: times and sizes.
        before_loading: called with a scope, in a thread, before its journal is read.
    """

    def __init__(
        self, store: Store, settings: EngineSettings, before_loading: Callable[[str], None] = lambda scope: None
    ) -> None:
        self._store = store
        self._before_loading = before_loading
        self._settings = settings
        self._scopes: dict[str, OpenScope] = {}
        self._flushing = asyncio.Lock()
        self._flushed = asyncio.Event()  # since a call last waited for it
        self._flusher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to save regularly, where the store is remote."""
        if self._store.local_path("") is None:
            self._flusher = asyncio.create_task(self._flush_regularly())

    def find(self, scope: str) -> OpenScope | None:
        """A scope that is open and loaded."""
        opened = self._scopes.get(scope)
        return opened if opened and opened.loaded.is_set() else None

    async def open(self, scope: str) -> OpenScope:
        """A scope with its journal loaded.

        Raises:
            StoreError, JournalError: the journal cannot be read.
        """
        await self._close_unused()
        while (opened := self._scopes.get(scope)) is not None:
            if opened.loaded.is_set():
                return opened
            await opened.loaded.wait()
        opened = self._scopes[scope] = OpenScope(ScopeJournal(self._store, scope, self._settings.outage_seconds))
        try:
            await run_in_daemon_thread(lambda: self._load(scope, opened.journal))
        except BaseException:
            del self._scopes[scope]
            raise
        finally:
            opened.loaded.set()
        if opened.journal.damaged:
            logger.warning("%s: %d damaged journal records were skipped", scope, opened.journal.damaged)
        return opened

    def _load(self, scope: str, journal: ScopeJournal) -> None:
        self._before_loading(scope)
        journal.load()

    async def wait_for_room(self, journal: ScopeJournal) -> None:
        """Wait while too many answers are only in memory.

        Raises:
            StoreError: no more can be kept; see `ScopeJournal.check`.
        """
        journal.check()
        while self._flusher and self._pending() >= self._settings.unsaved_answers:
            self._flushed.clear()
            await self._flushed.wait()
            for opened in self._scopes.values():
                opened.journal.check()

    async def close(self, *, interrupted: bool) -> None:
        """Save and close every journal; for `interrupted_seconds` only where the run was interrupted.

        Raises:
            Exception: the first that a journal failed with.
        """
        if self._flusher:
            self._flusher.cancel()
        seconds = self._settings.interrupted_seconds if interrupted else None
        async with self._flushing:
            closing = {
                name: asyncio.create_task(run_in_daemon_thread(opened.journal.close))
                for name, opened in self._scopes.items()
            }
            done, late = await asyncio.wait(closing.values(), timeout=seconds) if closing else (set(), set())
        for name, task in closing.items():
            if task in late:
                task.cancel()
                logger.warning(
                    "%s: the run was interrupted and the lake does not answer: up to %d answers were not saved within "
                    "%g s and will be paid for again",
                    name,
                    self._scopes[name].journal.pending,
                    seconds,
                )
        self._scopes.clear()
        for task in done:
            task.result()

    def _pending(self) -> int:
        return sum(opened.journal.pending for opened in self._scopes.values())

    async def _close_unused(self) -> None:
        """Close the scopes that were opened first and are not in use, so that memory stays flat."""
        unused = [name for name, opened in self._scopes.items() if not opened.users and opened.loaded.is_set()]
        for name in unused[: max(0, len(self._scopes) - self._settings.open_scopes)]:
            opened = self._scopes.get(name)
            if opened is None:  # another call has closed it meanwhile
                continue
            async with self._flushing:
                await run_in_daemon_thread(opened.journal.flush)
            if not opened.users and not opened.journal.pending and self._scopes.get(name) is opened:
                del self._scopes[name]
                await run_in_daemon_thread(opened.journal.close)  # it waits for the disk

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.segment_seconds)
            async with self._flushing:
                journals = {name: opened.journal for name, opened in self._scopes.items() if opened.journal.pending}
                flushed = await asyncio.gather(
                    *(run_in_daemon_thread(journal.flush) for journal in journals.values()), return_exceptions=True
                )
            for name, error in zip(journals, flushed, strict=True):
                if isinstance(error, Exception):
                    logger.warning("%s: a journal segment could not be saved and is tried again: %s", name, error)
            self._flushed.set()


async def run_in_daemon_thread(work: Callable[[], Result]) -> Result:
    """What blocking work returns, in a thread that, unlike those of `asyncio.to_thread`, blocks neither loop nor exit.

    Where the store does not answer, or a server starts, the work takes minutes; a person who presses Ctrl-C does not
    wait for it.
    """
    done: Future[Result] = Future()
    done.set_running_or_notify_cancel()  # the work goes on when its caller is cancelled

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)
