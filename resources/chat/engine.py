"""The engine: completions from the journal or the endpoint, within limits and budgets, counted.

One engine serves one run. A dialogue is a coroutine that calls `complete` for one turn after the other; the engine
holds each call until its endpoint has a slot for it, and a call that waits to be retried holds none.
"""

import asyncio
import contextlib
import gc
import logging
import os
import random
import resource
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from resources.chat.budget import Budget, Spending
from resources.chat.calls import (
    BudgetSpent,
    Call,
    CallFailed,
    Completion,
    EndpointUnreachable,
    EndpointUnusable,
    Usage,
)
from resources.chat.journal import SEGMENT_SECONDS, ScopeJournal
from resources.chat.leases import EndpointShare, share_endpoint
from resources.chat.limiter import Gate, Limiter, Outcome
from resources.chat.profile import Endpoint, Profile, Role, RoleModel
from resources.chat.replies import AttemptFailed, Fault, Reply, judge_failure, read_completion, retry_after
from resources.chat.retries import RetryPolicy
from resources.chat.serialisation import decode_completion, encode_completion, journal_key, request_body
from resources.chat.transport import Connection
from resources.configuration import ConfigurationError
from resources.lake.store import Store

LATENCY_SAMPLE = 2000  # latencies kept a scope
OPEN_SCOPES = 8  # journals held in memory, unless more are in use
UNKEPT_ANSWERS = 10_000  # in memory alone, from which on no call is begun: what a crash may cost while S3 is away
SPARE_DESCRIPTORS = 128  # left to the rest of the process
LOOK_SECONDS = 1.0  # after which it is seen that another process came or went
LAST_SECONDS = 20.0  # that an interrupted run has to put its journals, should the store not answer
WAIT_SECONDS = 0.05  # the same while this process waits for what others have to give up

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """The endpoint is too busy; `asked` is how many seconds it asked to wait."""

    def __init__(self, detail: str, asked: float | None) -> None:
        super().__init__(detail)
        self.asked = asked


@dataclass(frozen=True, slots=True)
class _Ask:
    """One call, made ready."""

    call: Call
    cast: RoleModel
    scope: str
    body: bytes
    key: bytes
    journal: ScopeJournal


@dataclass(slots=True)
class _Line:
    """One endpoint in use."""

    name: str
    endpoint: Endpoint
    connection: Connection
    gate: Gate
    slots: int  # of this process, were it alone on the machine
    share: EndpointShare | None
    shaken: bool = False  # the share was lost and joined anew, and could not be divided since
    answered_at: float | None = None  # when it last sent any HTTP answer
    unusable: str | None = None
    warned: bool = False
    completion_tokens: dict[Role, float] = field(default_factory=dict)  # smoothed


@dataclass(slots=True)
class _Scope:
    """One scope in use."""

    journal: ScopeJournal
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    open_calls: dict[bytes, "asyncio.Future[None]"] = field(default_factory=dict)


class ChatEngine:
    """Implements `resources.chat.calls.Chat`. An async context manager: leaving it flushes the journals.

    Args:
        profile: who plays which role, through which endpoint.
        store: the lake; journals lie in its `_journal/`.
        roles: the roles that will be played; they decide `target_concurrency`.
        address_of: gives the address of an endpoint by its name, asked when it is first called; by default the
            profile's `base_url`.
        budget: what may be spent. What is in flight when it is reached still comes in.
        spent: what counts against it; several engines of a run share one.
        retries: how failed calls are tried again.

    A role's sampling `seed`, where there is one, grows by the regeneration number, so that a second try is a second
    answer. A null in `extra_body` takes a field out of the request.
    """

    def __init__(
        self,
        profile: Profile,
        store: Store,
        *,
        roles: Sequence[Role] = tuple(Role),
        address_of: Callable[[str], str] | None = None,
        budget: Budget | None = None,
        spent: Spending | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self.total = Usage()
        self._profile = profile
        self._store = store
        self._address_of = address_of or self._configured_address
        self._budget = budget or Budget()
        self._spent = spent or Spending()
        self._retries = retries or RetryPolicy()
        self._slots = _slots_of(profile, roles)
        self._lines: dict[str, _Line] = {}
        self._scopes: dict[str, _Scope] = {}
        self._usage: dict[str, Usage] = {}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._flusher: asyncio.Task[None] | None = None
        self._sharer: asyncio.Task[None] | None = None
        self._started = 0.0
        self._flushing = asyncio.Lock()
        self._flushed = asyncio.Event()  # since somebody last waited for it

    async def __aenter__(self) -> Self:
        self._started = asyncio.get_running_loop().time()
        if self._store.local_path("") is None:
            self._flusher = asyncio.create_task(self._flush_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.unfreeze()
        for task in (self._flusher, self._sharer):
            if task:
                task.cancel()
        for line in self._lines.values():
            if line.share:
                line.share.close()
        interrupted = kind is not None and issubclass(kind, asyncio.CancelledError | KeyboardInterrupt)
        async with self._flushing:
            closed = await self._close_journals(LAST_SECONDS if interrupted else None)
        self._scopes.clear()
        for line in self._lines.values():
            await line.connection.close()
        for failure in closed:
            if failure is not None:
                raise failure

    @property
    def target_concurrency(self) -> int:
        """How many dialogues to hold open at once: a fifth more than there are slots, for those that wait to retry."""
        slots = sum(self._slots.values())
        return slots + max(2, slots // 5)

    def usage(self, scope: str) -> Usage:
        """The sums of one scope so far."""
        return self._usage.setdefault(scope, Usage())

    def take_usage(self, scope: str) -> Usage:
        """The sums of a scope that is done. The engine lets go of them: a run has many scopes, each with its sample."""
        return self._usage.pop(scope, None) or Usage()

    async def complete(self, call: Call, *, scope: str) -> Completion:
        """See `Chat.complete`. A second call of the same key waits for the first and takes its answer.

        Raises:
            StoreError: the journal cannot be written; nothing more is paid for.
        """
        cast = self._profile.roles[call.role]
        body = request_body(call, cast, self._profile.endpoints[cast.endpoint])
        key = journal_key(cast.endpoint, body, call)
        shelf = self._scopes.get(scope)
        if shelf is None or not shelf.loaded.is_set():
            shelf = await self._open_scope(scope)
        shelf.users += 1
        try:
            while (first := shelf.open_calls.get(key)) is not None:
                await asyncio.wait([first])
                if not first.cancelled() and (error := first.exception()):
                    raise error
            kept = shelf.journal.get(key)
            if kept is not None and (replayed := decode_completion(kept)) is not None:
                for usage in (self.usage(scope), self.total):
                    usage.replayed += 1
                return replayed
            done = shelf.open_calls[key] = asyncio.get_running_loop().create_future()
            try:
                completion = await self._obtain(_Ask(call, cast, scope, body, key, shelf.journal))
            except asyncio.CancelledError:
                done.cancel()
                raise
            except BaseException as error:
                done.set_exception(error)
                done.exception()  # asyncio complains of exceptions that nobody looked at
                raise
            finally:
                del shelf.open_calls[key]
            done.set_result(None)
            return completion
        finally:
            shelf.users -= 1

    # ---- the journal

    async def _open_scope(self, scope: str) -> _Scope:
        await self._close_unused_scopes()
        while (shelf := self._scopes.get(scope)) is not None:
            if shelf.loaded.is_set():
                return shelf
            await shelf.loaded.wait()
        shelf = self._scopes[scope] = _Scope(ScopeJournal(self._store, scope))
        try:
            await _aside(shelf.journal.load)
        except BaseException:
            del self._scopes[scope]
            raise
        finally:
            shelf.loaded.set()
        if shelf.journal.damaged:
            logger.warning("%s: %d damaged journal records were dropped", scope, shelf.journal.damaged)
        return shelf

    async def _close_unused_scopes(self) -> None:
        """Let go of the scopes that were opened first and are not in use, so that memory stays flat."""
        unused = [name for name, shelf in self._scopes.items() if not shelf.users and shelf.loaded.is_set()]
        for name in unused[: max(0, len(self._scopes) - OPEN_SCOPES)]:
            shelf = self._scopes[name]
            async with self._flushing:
                await _aside(shelf.journal.flush)
            if not shelf.users and not shelf.journal.pending and self._scopes.get(name) is shelf:
                del self._scopes[name]
                shelf.journal.close()

    async def _close_journals(self, seconds: float | None) -> list[BaseException | None]:
        """Close every journal, within some seconds if they are given; what each failed with."""
        closing = {name: asyncio.create_task(_aside(shelf.journal.close)) for name, shelf in self._scopes.items()}
        if not closing:
            return []
        done, late = await asyncio.wait(closing.values(), timeout=seconds)
        for name, task in closing.items():
            if task in late:
                task.cancel()
                logger.warning(
                    "%s: interrupted while the lake does not answer: up to %d answers could not be kept within %g s "
                    "and will be paid for again",
                    name,
                    self._scopes[name].journal.pending,
                    seconds,
                )
        return [task.exception() for task in done]

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(SEGMENT_SECONDS)
            async with self._flushing:
                journals = {name: shelf.journal for name, shelf in self._scopes.items() if shelf.journal.pending}
                flushed = await asyncio.gather(
                    *(_aside(journal.flush) for journal in journals.values()), return_exceptions=True
                )
            for name, error in zip(journals, flushed, strict=True):
                if isinstance(error, Exception):
                    logger.warning("%s: the journal's segment could not be put and is kept for later: %s", name, error)
            self._flushed.set()

    async def _room_for_answers(self, journal: ScopeJournal) -> None:
        """Wait while too many answers are in memory alone.

        Raises:
            StoreError: none can be kept any more; see `ScopeJournal.check`.
        """
        journal.check()
        while self._flusher and sum(shelf.journal.pending for shelf in self._scopes.values()) >= UNKEPT_ANSWERS:
            self._flushed.clear()
            await self._flushed.wait()
            for shelf in self._scopes.values():
                shelf.journal.check()

    # ---- the endpoint

    async def _obtain(self, ask: _Ask) -> Completion:
        """The completion from the endpoint, tried as often as the separate error budgets allow."""
        line = self._line(ask.cast.endpoint)
        clock = asyncio.get_running_loop().time
        failures = refusals = 0
        failed_since = refused_since = 0.0
        while True:
            try:
                return await self._attempt(line, ask)
            except _Refused as refused:
                refusals += 1
                refused_since = clock() if refusals == 1 else refused_since
                wait = self._retries.after_throttling(refusals, refused.asked)
                self._add(ask.scope, throttled=1)
                deadline = line.endpoint.retry_deadline_seconds
                if clock() + wait > refused_since + deadline:
                    raise CallFailed(
                        "throttled", f"endpoint {line.name!r} is too busy for longer than {deadline:g} s: {refused}"
                    ) from None
            except AttemptFailed as failed:
                failures += 1
                failed_since = clock() if failures == 1 else failed_since
                self._add(ask.scope, wasted=int(failed.wasted))
                self._pay(ask, *failed.tokens)
                if failures >= self._retries.attempts:
                    gone = failed.reason == "unreachable" and (line.answered_at or 0.0) < failed_since
                    if line.answered_at is None or gone:
                        away = self._unusable(line, ask, failed.reason, failed.detail)
                        raise EndpointUnreachable(str(away)) from None
                    detail = f"endpoint {line.name!r}, {failures} attempts, the last: {failed.detail}"
                    raise CallFailed(failed.reason, detail) from None
                if failures == 1 and not line.warned:
                    line.warned = True
                    logger.warning("endpoint %r: %s; it is tried again, and so are later ones", line.name, failed)
                wait = self._retries.after_failure(failures)
            except BudgetSpent:
                await self._idle.wait()  # what is in flight is paid for: keep it
                raise
            self._add(ask.scope, retries=1)
            await asyncio.sleep(wait)

    async def _attempt(self, line: _Line, ask: _Ask) -> Completion:
        """One request: queued, sent, judged, journalled and counted.

        Raises:
            _Refused, AttemptFailed: it may be tried again.
            CallFailed, EndpointUnusable, BudgetSpent, StoreError: it may not.
        """
        expected = line.completion_tokens.get(ask.call.role, float(ask.cast.max_tokens))
        estimate = len(ask.body) / 4 + expected
        await self._room_for_answers(ask.journal)
        await line.gate.enter(estimate)
        clock = asyncio.get_running_loop().time
        started = clock()
        outcome, used, asked = Outcome.NEITHER, estimate, None
        self._in_flight += 1
        self._idle.clear()
        try:
            self._may_spend(line)
            ask.journal.check()
            reply = await line.connection.post_chat(ask.body)
            line.answered_at = clock()
            line.gate.limiter.heed(clock(), reply.headers)
            if not 200 <= reply.status < 300:
                raise self._fault(reply, line, ask)
            outcome = Outcome.SERVED
            completion = read_completion(reply, len(ask.body))
            used = completion.prompt_tokens + completion.completion_tokens
            self._count(line, ask, completion, clock() - started)
            ask.journal.append(ask.key, encode_completion(completion))
            return completion
        except _Refused as refused:
            outcome, used, asked = Outcome.REFUSED, 0.0, refused.asked
            raise
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            line.gate.leave(outcome, latency=clock() - started, tokens_over=used - estimate, retry_after=asked)

    def _may_spend(self, line: _Line) -> None:
        if line.unusable:
            raise EndpointUnusable(line.unusable)
        self._budget.check(self._spent)

    def _fault(self, reply: Reply, line: _Line, ask: _Ask) -> Exception:
        fault, reason, said = judge_failure(reply)
        match fault:
            case Fault.THROTTLED:
                return _Refused(said, retry_after(reply.headers))
            case Fault.TRANSIENT:
                return AttemptFailed(reason, said)
            case Fault.REJECTED:
                return CallFailed(reason, f"endpoint {line.name!r}: {said}")
            case Fault.UNUSABLE:
                return self._unusable(line, ask, reason, said)

    def _unusable(self, line: _Line, ask: _Ask, reason: str, said: str) -> EndpointUnusable:
        """The error that stops the run, and every later call to this endpoint."""
        role, profile = f"roles.{ask.call.role.value}", self._profile.name
        variable = line.endpoint.api_key_env
        advice = {
            "wrong_key": f"put a key that it accepts into the environment variable {variable}"
            if variable
            else f"it wants a key: name its environment variable in endpoints.{line.name}.api_key_env",
            "unknown_model": f"check {role}.model and endpoints.{line.name}.base_url, which should end in /v1",
            "quota_spent": "its account has nothing left to spend: top it up or use another",
            "redirected": f"put the address that it points to into endpoints.{line.name}.base_url",
        }.get(reason, f"start it, or correct endpoints.{line.name}.base_url")
        line.unusable = (
            f"endpoint {line.name!r} at {line.connection.address} cannot be used for {role} with model "
            f"{ask.cast.model!r} ({reason}). It said: {said}. What to do (profile {profile!r}): {advice}."
        )
        return EndpointUnusable(line.unusable)

    def _line(self, name: str) -> _Line:
        line = self._lines.get(name)
        if line is None:
            endpoint = self._profile.endpoints[name]
            key = os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None
            machines = endpoint.runs_at_once
            slots = self._slots.get(name) or _machines_slots(endpoint)
            calls, tokens = endpoint.requests_per_minute, endpoint.tokens_per_minute
            limiter = Limiter(slots, calls and calls / machines, tokens and tokens / machines)
            address = self._address_of(name)
            line = self._lines[name] = _Line(
                name=name,
                endpoint=endpoint,
                connection=Connection(endpoint, address, key),
                gate=Gate(limiter, asyncio.get_running_loop().time),
                slots=slots,
                share=share_endpoint(name, address, _machines_slots(endpoint)),
            )
            # What is loaded by now stays: to look through it takes 0.15 s every 2,000 calls, in which none moves on.
            gc.freeze()
            if line.share is not None:
                line.gate.share(0, 0.0)  # until the first division
            if not self._divide(line):
                logger.info("endpoint %r: other processes of this machine use it, waiting for a share", name)
            if self._sharer is None:
                self._sharer = asyncio.create_task(self._divide_regularly())
        return line

    def _divide(self, line: _Line) -> bool:
        """Take this process's part of the endpoint's caps; whether it is all that is due."""
        if line.share is None:
            return True
        try:
            part = line.share.divide(line.gate.limiter.in_flight)
        except (OSError, ValueError) as error:
            self._join_anew(line, error)
            return line.share is None
        if part is None:
            return False
        line.shaken = False
        line.gate.share(min(line.slots, part.slots), part.rate)
        return part.whole

    def _join_anew(self, line: _Line, error: Exception) -> None:
        """The folder of the shares vanished (at a logout, say) or cannot be read: join again, in vain: go alone."""
        assert line.share is not None  # noqa: S101
        line.share.close()
        line.share = None
        if line.shaken:
            logger.warning("endpoint %r: its caps hold for this process alone from now on: %s", line.name, error)
        else:
            logger.warning("endpoint %r: its share is lost and joined anew: %s", line.name, error)
            line.share = share_endpoint(line.name, line.connection.address, _machines_slots(line.endpoint))
            line.shaken = True
        if line.share is None:
            line.gate.share(line.slots, 1.0)

    async def _divide_regularly(self) -> None:
        whole = False
        while True:
            await asyncio.sleep(LOOK_SECONDS if whole else WAIT_SECONDS)
            parts = [self._divide(line) for line in self._lines.values()]
            whole = all(parts)

    def _configured_address(self, name: str) -> str:
        address = self._profile.endpoints[name].base_url
        if address is None:
            raise ConfigurationError(f"endpoint {name!r} is embedded: its address comes with its lease (ChatService)")
        return address

    # ---- the sums

    def _add(self, scope: str, *, retries: int = 0, throttled: int = 0, wasted: int = 0) -> None:
        for usage in (self.usage(scope), self.total):
            usage.retries += retries
            usage.throttled += throttled
            usage.wasted += wasted

    def _count(self, line: _Line, ask: _Ask, completion: Completion, latency: float) -> None:
        mean = line.completion_tokens.get(ask.call.role, float(completion.completion_tokens))
        line.completion_tokens[ask.call.role] = mean + 0.1 * (completion.completion_tokens - mean)
        self._pay(ask, completion.prompt_tokens, completion.completion_tokens)
        moment = asyncio.get_running_loop().time() - self._started
        for usage in (self.usage(ask.scope), self.total):
            usage.calls += 1
            usage.wait_seconds += latency
            if len(usage.latencies) < LATENCY_SAMPLE:
                usage.latencies.append(latency)
                usage.moments.append(moment)
            elif (place := random.randrange(usage.calls)) < LATENCY_SAMPLE:
                usage.latencies[place], usage.moments[place] = latency, moment

    def _pay(self, ask: _Ask, prompt_tokens: int, completion_tokens: int) -> None:
        price = self._profile.prices.get(ask.cast.model)
        cost = (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6 if price else 0.0
        for usage in (self.usage(ask.scope), self.total):
            usage.prompt_tokens += prompt_tokens
            usage.completion_tokens += completion_tokens
            usage.cost += cost
        self._spent.tokens += prompt_tokens + completion_tokens
        self._spent.cost += cost


async def _aside(work: Callable[[], None]) -> None:
    """Run blocking work in a thread that, unlike those of `asyncio.to_thread`, holds up neither loop nor process.

    Where the store does not answer the work takes minutes, and who presses Ctrl-C is not to wait for them.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if not done.done() and error is not None:
            done.set_exception(error)
        elif not done.done():
            done.set_result(None)

    def run() -> None:
        failure = None
        try:
            work()
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=run, daemon=True).start()
    await done


def _machines_slots(endpoint: Endpoint) -> int:
    """Calls in flight that one machine may have."""
    return max(1, endpoint.max_concurrency // endpoint.runs_at_once)


def _slots_of(profile: Profile, roles: Sequence[Role]) -> dict[str, int]:
    """Calls in flight that each endpoint of these roles may have, within what this process may open."""
    endpoints = {name: profile.endpoints[name] for name in {profile.roles[role].endpoint for role in roles}}
    slots = {name: _machines_slots(endpoint) for name, endpoint in endpoints.items()}
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted = sum(slots.values())
    if allowed == resource.RLIM_INFINITY or wanted + SPARE_DESCRIPTORS <= allowed:
        return slots
    share = max(1, allowed - SPARE_DESCRIPTORS) / wanted
    logger.warning(
        "%d calls in flight need more open files than this process may have (%d): they are cut to %d; "
        "raise it with `ulimit -n`",
        wanted,
        allowed,
        int(wanted * share),
    )
    return {name: max(1, int(count * share)) for name, count in slots.items()}
