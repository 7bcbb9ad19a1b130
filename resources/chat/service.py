"""What an asset gets to call models: an engine, with its model servers leased for as long as it lives."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing
from functools import lru_cache, partial
from typing import Any, TypeVar

from resources.chat.budget import Budget, Spending
from resources.chat.endpoint_client import machine_slots
from resources.chat.engine import ChatEngine
from resources.chat.profile import Endpoint, Profile, read_key
from resources.chat.retries import RetryPolicy
from resources.lake.store import Store
from resources.model_servers.started.usage import RunningServer

Result = TypeVar("Result")
Lease = Callable[[str, Endpoint, Callable[[RunningServer], object]], AbstractContextManager[str]]


def lease_server(
    name: str, endpoint: Endpoint, on_lease: Callable[[RunningServer], object] = lambda server: None
) -> AbstractContextManager[str]:
    """Lease the server of an endpoint that has no address, by its name in the profile; gives its base URL.

    `on_lease` is called with a server of kind `vllm` or `llama_server` once it answers.
    """
    if endpoint.server is not None:
        from resources.model_servers.started.servers import lease_started_server

        key = read_key(name, endpoint)
        slots, context = machine_slots(endpoint), endpoint.context_tokens
        return lease_started_server(
            endpoint.kind, endpoint.server, key, slots=slots, context_tokens=context, on_lease=on_lease
        )
    from resources.model_servers.embedded.servers import lease_chat_server

    return lease_chat_server(endpoint.model_file, endpoint.context_tokens, endpoint.max_concurrency)


class ServerLeases:
    """The leases of an engine on the servers of endpoints without an address. Its methods may be called in any thread.

    Args:
        endpoints: by name.
        lease: leases the server of one.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], lease: Lease) -> None:
        self._endpoints = endpoints
        self._lease = lease
        self._lock = threading.Lock()
        self._leases: dict[str, AbstractContextManager[str]] | None = {}
        self.running: dict[str, RunningServer] = {}  # servers with hours to count, by endpoint

    def address_of(self, name: str) -> str:
        """The address of an endpoint. A second call leases its server again, which starts it where it has ended."""
        endpoint = self._endpoints[name]
        if endpoint.base_url:
            return endpoint.base_url
        self.running.pop(name, None)  # it has ended
        lease = self._lease(name, endpoint, partial(self.running.__setitem__, name))
        address = lease.__enter__()
        with self._lock:
            before = lease if self._leases is None else self._leases.get(name)
            if self._leases is not None:
                self._leases[name] = lease
        if before is not None:  # the ended server's, or this one where the engine was closed meanwhile
            before.__exit__(None, None, None)
        return address

    def close(self) -> None:
        """End every lease, also those that are being made."""
        with self._lock:
            leases, self._leases = self._leases or {}, None
        for lease in leases.values():
            lease.__exit__(None, None, None)


class ChatService:
    """Makes engines for one profile over one lake.

    Args:
        profile: which model plays which role.
        store: the lake, with the journals.
        budget: what each run may spend, over all its steps in this process.
        retries: how failed calls are sent again.
        lease: leases the server of an endpoint without address.
        on_connect: see `ChatEngine`.
    """

    def __init__(
        self,
        profile: Profile,
        store: Store,
        budget: Budget | None = None,
        retries: RetryPolicy | None = None,
        lease: Lease = lease_server,
        on_connect: Callable[[], None] | None = None,
    ) -> None:
        self.profile = profile
        self._store = store
        self._budget = budget
        self._retries = retries
        self._lease = lease
        self._on_connect = on_connect

    def with_profile(self, profile: Profile) -> "ChatService":
        """The same service with other models. What its engines spend counts for the same budget, run by run."""
        return ChatService(profile, self._store, self._budget, self._retries, self._lease, self._on_connect)

    @asynccontextmanager
    async def engine(
        self, roles: Sequence[str] | None = None, run: str | None = None, *, batches: bool = False
    ) -> AsyncIterator[ChatEngine]:
        """An engine for these roles. Model servers are leased when first called, so a replay starts none.

        Args:
            roles: what will be played; by default every role of the profile.
            run: whose budget it draws on; without one the engine has a budget of its own.
            batches: the caller lets work wait for batches, see `ChatEngine`.

        Raises:
            ConfigurationError: keys that these roles need are not set; the message names them all.
        """
        roles = tuple(self.profile.roles) if roles is None else roles
        self.profile.check_keys(roles)
        with closing(ServerLeases(self.profile.endpoints, self._lease)) as leases:
            async with ChatEngine(
                self.profile,
                self._store,
                roles=roles,
                address_of=leases.address_of,
                budget=self._budget,
                spending=_spending_of(run) if run else None,
                run=run,
                retries=self._retries,
                batches=batches,
                on_connect=self._on_connect,
                servers=leases.running,
            ) as engine:
                yield engine


@lru_cache(maxsize=64)
def _spending_of(run: str) -> Spending:
    """What a run has spent in this process; all its steps add to it."""
    return Spending()


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine from an asset, so that SIGINT and SIGTERM cancel it and it can clean up.

    Dagster's own handlers raise at whatever point the signal finds the program, within the event loop as well. Here a
    signal cancels the coroutine instead: calls in flight end and journals are saved. Then the signal is raised again
    for the handlers that were there before (Dagster's raises DagsterExecutionInterruptedError). A second signal ends
    the saving early. Outside the main thread, where Python allows no handlers, this is `asyncio.run`.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    received: list[int] = []

    async def cancellable() -> Result:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101

        def interrupt(number: int) -> None:
            received.append(number)
            task.cancel()

        for number in previous:
            loop.add_signal_handler(number, interrupt, number)
        return await work

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return asyncio.run(cancellable())
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if received:
            signal.raise_signal(received[0])
