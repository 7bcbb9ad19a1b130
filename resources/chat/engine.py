"""The engine: completions from the journal or the endpoint, within limits and budgets, counted.

One engine serves one run. A dialogue is a coroutine that calls `complete` for one turn after the other; the engine
lets each call wait until its endpoint has a slot for it, and a call that waits to be sent again holds none.
"""

import asyncio
import logging
import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from resources.chat.accounting import UsageAccount
from resources.chat.batches.waves import Waves
from resources.chat.budget import Budget, Spending
from resources.chat.calls import BudgetSpent, Call, Completion, EndpointUnusable, Usage
from resources.chat.endpoint_client import ChatRequest, EndpointClient, machine_slots
from resources.chat.limiter import RateLimitOutcome
from resources.chat.profile import Profile
from resources.chat.replies import AttemptFailed, Throttled
from resources.chat.retries import RetryPolicy
from resources.chat.scope_journals import OpenScope, ScopeJournals, run_in_daemon_thread
from resources.chat.serialisation import decode_completion, encode_completion, journal_key, request_body
from resources.chat.settings import EngineSettings
from resources.chat.spending_log import SpendingLog
from resources.configuration import ConfigurationError
from resources.lake.store import Store, StoreError
from resources.model_servers.lease import ModelServerError
from resources.model_servers.started.usage import RunningServer

logger = logging.getLogger(__name__)


class ChatEngine:
    """Implements `resources.chat.calls.Chat`. An async context manager: leaving it saves the journals.

    Args:
        profile: which model plays which role, through which endpoint.
        store: the lake; journals are in its `_journal/`.
        roles: the roles that will be played; they decide `target_concurrency`.
        address_of: gives the address of an endpoint by its name, when it is first called; by default the profile's
            `base_url`.
        budget: what may be spent. Calls in flight when it is reached still come in.
        spending: what counts against the budget; several engines of a run share one.
        run: Dagster's run, for the record of what was paid.
        retries: how failed calls are sent again.
        settings: times and sizes.
        batches: let calls of roles of mode `batch` wait for a provider's batch, see `submit`; else they are asked live.
        on_connect: called when an endpoint is first used, after its client library is imported. A program can freeze
            there what is loaded (`gc.freeze`), so that garbage collections take less time.
        servers: the servers of this machine that it uses now, whose hours are recorded too; see `SpendingLog`.

    A role's sampling `seed`, where there is one, grows by the regeneration number, so that a second try is a second
    answer. A null in `extra_body` removes a field from the request.
    """

    def __init__(
        self,
        profile: Profile,
        store: Store,
        *,
        roles: Sequence[str] | None = None,
        address_of: Callable[[str], str] | None = None,
        budget: Budget | None = None,
        spending: Spending | None = None,
        run: str | None = None,
        retries: RetryPolicy | None = None,
        settings: EngineSettings | None = None,
        batches: bool = False,
        on_connect: Callable[[], None] | None = None,
        servers: Mapping[str, RunningServer] | None = None,
    ) -> None:
        self._on_connect = on_connect
        self._settings = settings or EngineSettings()
        self._profile = profile
        self._address_of = address_of or self._configured_address
        self._budget = budget or Budget()
        self._spending = spending or Spending()
        self._retries = retries or RetryPolicy()
        played = profile.roles if roles is None else roles
        self._slots = _process_slots(profile, played, self._settings.spare_descriptors)
        self._waves = Waves(profile, store, self._budget, self._spending, run or "") if batches else None
        self._journals = (
            ScopeJournals(store, self._settings, self._waves.open)
            if self._waves
            else ScopeJournals(store, self._settings)
        )
        self._log = SpendingLog(store, run or "", servers=servers)
        self._account = UsageAccount(profile.prices, self._spending, self._log, self._settings.latency_sample)
        self._saving: asyncio.Task[None] | None = None
        self._clients: dict[str, asyncio.Task[EndpointClient]] = {}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._started = 0.0

    async def __aenter__(self) -> Self:
        self._started = asyncio.get_running_loop().time()
        self._journals.start()
        self._saving = asyncio.create_task(self._save_spending_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, asyncio.CancelledError | KeyboardInterrupt)
        try:
            await self._journals.close(interrupted=interrupted)
        finally:
            if self._saving:
                self._saving.cancel()
            await self._save_spending(self._settings.interrupted_seconds)
            for connecting in self._clients.values():
                connecting.cancel()  # a server that is being started; nothing where the client is there
                await asyncio.wait([connecting])
                if not connecting.cancelled() and connecting.exception() is None:
                    await connecting.result().close()
        if kind is None and self._waves and self._waves.budget_spent:
            raise self._waves.budget_spent

    async def _save_spending_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.spending_seconds)
            await self._save_spending()

    async def _save_spending(self, seconds: float | None = None) -> None:
        """Write what was paid. A lake that cannot be written now does not end the run: no answer depends on it."""
        try:
            async with asyncio.timeout(seconds):
                await run_in_daemon_thread(self._log.save)
        except (StoreError, TimeoutError) as error:
            logger.warning("what was paid could not be recorded: %s", error or "the lake does not answer")

    @property
    def target_concurrency(self) -> int:
        """A fifth more coroutines than there are slots, for those that wait to be sent again."""
        slots = sum(self._slots.values())
        return slots + max(2, slots // 5)

    @property
    def total(self) -> Usage:
        """The sums over all scopes so far."""
        return self._account.total

    def take_usage(self, scope: str) -> Usage:
        """The sums of a scope that is done. The engine forgets them: a run has many scopes, each with its sample."""
        return self._account.take(scope)

    async def complete(self, call: Call, *, scope: str) -> Completion:
        """See `Chat.complete`. A second call of the same key waits for the first and takes its answer.

        Raises:
            AwaitingBatch: the call goes into a batch; see `submit`.
            StoreError: the journal cannot be written; nothing more is paid for.
        """
        role_model = self._profile.roles[call.role]
        body = request_body(call, role_model, self._profile.endpoints[role_model.endpoint])
        key = journal_key(role_model.endpoint, body, call)
        opened = self._journals.find(scope) or await self._journals.open(scope)
        opened.users += 1
        try:
            while (first := opened.calls.get(key)) is not None:
                await asyncio.wait([first])
                if not first.cancelled() and (error := first.exception()):
                    raise error
            kept = opened.journal.get(key)
            if kept is not None and (replayed := decode_completion(kept)) is not None:
                self._account.add_replayed(scope, key, role_model.model, replayed)
                return replayed
            request = ChatRequest(call, role_model, scope, body, key, opened.journal)
            if self._waves:
                self._waves.check(request)
            return await self._obtain(request, opened)
        finally:
            opened.users -= 1

    async def submit(self, scope: str) -> str:
        """Submit the calls of a scope that wait for a batch, once no more are made; says what it waits for.

        Raises:
            EndpointUnusable, StoreError: the provider does not take the batches, or the lake cannot be written.
        """
        assert self._waves is not None  # noqa: S101 - nothing waits without batches
        self._account.take(scope)  # what this run paid is replayed by the run that writes the partition
        return await asyncio.to_thread(self._waves.submit, scope)

    async def _obtain(self, request: ChatRequest, opened: OpenScope) -> Completion:
        """The completion from the endpoint, announced to calls of the same key while it is obtained."""
        done = opened.calls[request.key] = asyncio.get_running_loop().create_future()
        try:
            completion = await self._retry(request)
        except asyncio.CancelledError:
            done.cancel()
            raise
        except BaseException as error:
            done.set_exception(error)
            done.exception()  # asyncio complains of exceptions that nobody looked at
            raise
        finally:
            del opened.calls[request.key]
        done.set_result(None)
        return completion

    async def _retry(self, request: ChatRequest) -> Completion:
        """The completion, with as many attempts as the separate limits for failures and throttling allow."""
        client = await self._client(request.role_model.endpoint)

        async def attempt(number: int) -> Completion:
            self._account.add(request.scope, retries=int(number > 0))
            return await self._attempt(client, request)

        def count(failure: Throttled | AttemptFailed) -> None:
            if isinstance(failure, Throttled):
                self._account.add(request.scope, throttled=1)
            else:
                if failure.wasted:
                    call, model = request.call, request.role_model.model
                    self._account.pay_wasted(request.scope, call.role, model, *failure.tokens)

        try:
            return await client.with_retries(self._retries, request.user, attempt, count)
        except BudgetSpent:
            await self._idle.wait()  # calls in flight are paid for: keep their answers
            raise

    async def _attempt(self, client: EndpointClient, request: ChatRequest) -> Completion:
        """One request: queued, sent, read, journalled and counted.

        Raises:
            Throttled, AttemptFailed: it may be sent again.
            CallFailed, EndpointUnusable, BudgetSpent, StoreError: it may not.
        """
        clock = asyncio.get_running_loop().time
        expected = client.expected_tokens(request)
        await self._journals.wait_for_room(request.journal)
        await client.queue.acquire(expected)
        started = clock()
        outcome, used, retry_after = RateLimitOutcome.NEITHER, expected, None
        self._in_flight += 1
        self._idle.clear()
        try:
            client.check_usable()
            self._budget.check(self._spending)
            request.journal.check()
            completion = await client.send(request)
            outcome = RateLimitOutcome.SERVED
            used = completion.prompt_tokens + completion.completion_tokens
            model, latency = request.role_model.model, clock() - started
            self._account.add_completion(
                request.scope, request.key, request.call.role, model, completion, latency, clock() - self._started
            )
            request.journal.append(request.key, encode_completion(completion))
            return completion
        except Throttled as throttled:
            outcome, used, retry_after = RateLimitOutcome.THROTTLED, 0.0, throttled.retry_after
            raise
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            client.queue.release(
                outcome, latency=clock() - started, tokens_over=used - expected, retry_after=retry_after
            )

    async def _client(self, name: str) -> EndpointClient:
        """The client of an endpoint. The first call makes it, which may take minutes; others wait for it."""
        connecting = self._clients.get(name)
        if connecting is None:
            connecting = self._clients[name] = asyncio.create_task(self._connect(name))
        return await asyncio.shield(connecting)

    async def _connect(self, name: str) -> EndpointClient:
        endpoint = self._profile.endpoints[name]
        slots, seconds = self._slots.get(name) or machine_slots(endpoint), self._settings.sharing_seconds

        async def find_address() -> str:
            try:
                return await run_in_daemon_thread(lambda: self._address_of(name))
            except ModelServerError as error:
                raise EndpointUnusable(f"endpoint {name!r} cannot be used: {error}") from error

        client = EndpointClient(
            self._profile.name,
            name,
            endpoint,
            await find_address(),
            slots,
            seconds,
            None if endpoint.base_url else find_address,
        )
        if self._on_connect:
            self._on_connect()
        return client

    def _configured_address(self, name: str) -> str:
        address = self._profile.endpoints[name].base_url
        if address is None:
            raise ConfigurationError(f"endpoint {name!r} has no base_url: only a ChatService starts its server")
        return address


def _process_slots(profile: Profile, roles: Iterable[str], spare_descriptors: int) -> dict[str, int]:
    """Calls in flight that each endpoint of these roles may have, within the open files that this process may have."""
    endpoints = {name: profile.endpoints[name] for name in {profile.roles[role].endpoint for role in roles}}
    slots = {name: machine_slots(endpoint) for name, endpoint in endpoints.items()}
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted = sum(slots.values())
    if allowed == resource.RLIM_INFINITY or wanted + spare_descriptors <= allowed:
        return slots
    share = max(1, allowed - spare_descriptors) / wanted
    logger.warning(
        "%d calls in flight need more open files than this process may have (%d): they are cut to %d; "
        "raise it with `ulimit -n`",
        wanted,
        allowed,
        int(wanted * share),
    )
    return {name: max(1, int(count * share)) for name, count in slots.items()}
