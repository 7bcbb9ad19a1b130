"""Waves of calls: what a run wants of roles of mode `batch` is submitted at its end and replayed by a later run.

A run goes through its dialogues. A call that the journal does not have is noted as wanted, and its dialogue waits. At
the end of the partition its wanted calls become batches. A later run first collects the answers into the journal, and
then goes on: all that was answered is replayed, and the next turn of every open dialogue is the next wave.
"""

import logging
import platform
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock

from resources.chat.batches.collection import collect
from resources.chat.batches.ledger import (
    Batch,
    Failed,
    Ledger,
    Submitted,
    change_ledger,
    confirming,
    now,
    only_process,
    queued_tokens,
    read_ledger,
    removing,
    setting_id,
)
from resources.chat.batches.provider import BatchProvider
from resources.chat.budget import Budget, Spending
from resources.chat.calls import AwaitingBatch, BudgetSpent, EndpointUnreachable, EndpointUnusable
from resources.chat.endpoint_client import ChatRequest
from resources.chat.journal import ScopeJournal
from resources.chat.profile import BatchLimits, Profile
from resources.chat.role_model import RoleModel
from resources.lake.store import Store

MOST_TRIES = 3  # batches without an answer, after which a request is asked live
LINE = b'{"custom_id":"%b","method":"POST","url":"/v1/chat/completions","body":%b}\n'

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that is to be submitted."""

    key: str  # of the journal, in hexadecimal digits; the provider's custom_id
    role: str
    endpoint: str
    model: str
    body: bytes
    cost: float  # US dollars, at most

    @property
    def line(self) -> bytes:
        """Its line in the file of a batch."""
        return LINE % (self.key.encode(), self.body)


@dataclass(slots=True)
class _Scope:
    submitted: set[str] = field(default_factory=set)
    failed: dict[str, Failed] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)


class Waves:
    """The batches of the scopes of one run.

    Args:
        profile: which roles are played in batches, and the limits of their endpoints.
        store: the lake, with the journals and the ledgers of batches.
        budget: what the run may spend. What is submitted counts at its upper bound.
        spending: what the run has spent.
        run: Dagster's run.

    Attributes:
        budget_spent: why not all calls could be submitted, if so.
    """

    budget_spent: BudgetSpent | None = None

    def __init__(self, profile: Profile, store: Store, budget: Budget, spending: Spending, run: str) -> None:
        self._profile, self._store, self._run = profile, store, run
        self._budget, self._spending = budget, spending
        self._scopes: defaultdict[str, _Scope] = defaultdict(_Scope)
        self._submitting = Lock()  # the room in a provider's queue is for all scopes

    def open(self, scope: str) -> None:
        """Collect what is answered, before the journal of the scope is loaded. Blocking.

        Raises:
            EndpointUnreachable, EndpointUnusable: a provider does not say what became of its batches.
            StoreError: the lake cannot be read or written.
        """
        ledger = collect(self._profile, self._store, scope)
        opened = self._scopes[scope]
        opened.submitted, opened.failed = ledger.submitted, ledger.failed

    def check(self, request: ChatRequest) -> None:
        """Let a call that the journal does not have wait for a batch, where its role is played in batches.

        Returns where it is to be asked live. A call in an open batch waits whatever the mode of its role is now.

        Raises:
            AwaitingBatch: its dialogue is continued by a later run.
        """
        name, role, opened = request.key.hex(), request.role_model, self._scopes[request.scope]
        if name not in opened.submitted:
            if role.mode == "live" or self._asked_live(opened.failed.get(name), role):
                return
            if name not in opened.wanted:
                self._want(opened, name, request)
        raise AwaitingBatch

    def _want(self, opened: _Scope, name: str, request: ChatRequest) -> None:
        try:
            self._budget.check(self._spending)
        except BudgetSpent as spent:
            self.budget_spent = spent
            return
        role = request.role_model
        price = self._profile.prices.get(role.model)
        prompt_tokens = -(-len(request.body) // 4)
        cost = price.cost(prompt_tokens, role.token_limit, batch=True) if price else 0.0
        self._spending.tokens += prompt_tokens + role.token_limit
        self._spending.cost += cost
        opened.wanted[name] = Wanted(name, request.call.role, role.endpoint, role.model, request.body, cost)

    def submit(self, scope: str) -> str:
        """Submit the wanted calls of a scope, and say in words what it waits for. Blocking.

        Raises:
            EndpointUnreachable, EndpointUnusable: the provider does not take the batches.
            StoreError: the lake cannot be written.
        """
        opened = self._scopes[scope]
        with only_process(self._store, scope):
            if opened.wanted:
                self._submit(scope, list(opened.wanted.values()))
                opened.wanted.clear()
        ledger = read_ledger(self._store, scope)
        opened.submitted = ledger.submitted
        return waiting_words(ledger)

    def _submit(self, scope: str, wanted: Sequence[Wanted]) -> None:
        """Write the batches into the ledger, then create them. What others submitted or collected is left out."""
        bodies = {one.key: one for one in wanted}
        mine: list[Batch] = []

        def add(ledger: Ledger) -> None:
            answered = ScopeJournal(self._store, scope)
            answered.load()  # after the ledger: a batch leaves the ledger once its answers are in the journal
            taken = ledger.submitted
            rest = [one for one in wanted if one.key not in taken and not answered.get(bytes.fromhex(one.key))]
            mine[:] = self._split(rest)
            ledger.postponed = self._postpone(mine, refused=ledger.queue_full)
            ledger.queue_full = ledger.queue_full and ledger.postponed > 0
            ledger.open += mine

        with self._submitting:
            change_ledger(self._store, scope, add)
        left = list(mine)
        try:
            while left:
                self._create(scope, left[0], [bodies[key].line for key in left[0].requests])
                del left[0]
        except EndpointUnusable:
            for batch in left:
                change_ledger(self._store, scope, removing(batch.mark))
            raise

    def _create(self, scope: str, batch: Batch, lines: Sequence[bytes]) -> None:
        """Upload and create a batch. Where the provider's last answer is lost, it stays without an id in the ledger.

        Raises:
            EndpointUnusable: it was not created.
        """
        with BatchProvider(batch.endpoint, self._profile.endpoints[batch.endpoint]) as provider:
            file = provider.upload(batch.mark, lines)
            if not change_ledger(self._store, scope, confirming(batch, file)).has_open(batch.mark):
                logger.warning("%s: another process removed a batch before it was created", scope)
                return
            try:
                created = provider.create(batch.mark, file)
            except EndpointUnreachable as error:
                logger.warning("%s: %s; a later run looks whether the batch was created", scope, error)
                return
        change_ledger(self._store, scope, setting_id(batch.mark, created))
        logger.info("%s: batch %s with %d requests is submitted", scope, created, len(batch.requests))

    def _split(self, wanted: Sequence[Wanted]) -> Iterator[Batch]:
        """Batches of one endpoint and model each, within the limits of their provider."""
        by_model: defaultdict[tuple[str, str], list[Wanted]] = defaultdict(list)
        for one in wanted:
            by_model[one.endpoint, one.model].append(one)
        for (endpoint, model), some in by_model.items():
            for chunk in split_wave(some, self._profile.endpoints[endpoint].batches):
                yield Batch(
                    mark=secrets.token_hex(16),
                    endpoint=endpoint,
                    model=model,
                    requests={one.key: Submitted(role=one.role, characters=len(one.body)) for one in chunk},
                    submitted_at=now(),
                    run=self._run,
                    host=platform.node(),
                    reserved_cost=sum(one.cost for one in chunk),
                )

    def _postpone(self, batches: list[Batch], *, refused: bool) -> int:
        """Remove the batches for which the provider's queue has no room; the number of their requests.

        A queue in which nothing else is has room.
        """
        limits = {batch.endpoint: self._profile.endpoints[batch.endpoint].batches.queued_tokens for batch in batches}
        if not refused and not any(limits.values()):
            return 0
        queued = queued_tokens(self._store)
        submitted, postponed = [], 0
        for batch in batches:
            before = queued[batch.endpoint, batch.model]
            limit = limits[batch.endpoint]
            if before and (refused or (limit is not None and before + batch.prompt_tokens > limit)):
                postponed += len(batch.requests)
            else:
                submitted.append(batch)
                queued[batch.endpoint, batch.model] += batch.prompt_tokens
        batches[:] = submitted
        return postponed

    def _asked_live(self, failed: Failed | None, role: RoleModel) -> bool:
        if failed is None:
            return False
        deadline = timedelta(hours=self._profile.endpoints[role.endpoint].batches.live_after_hours)
        return failed.refused or failed.tries >= MOST_TRIES or now() - failed.since >= deadline


def split_wave(wanted: Sequence[Wanted], limits: BatchLimits) -> Iterator[list[Wanted]]:
    """The calls in files of at most as many requests, bytes and queued tokens as the limits allow, in order."""
    chunk: list[Wanted] = []
    size = tokens = 0
    for one in wanted:
        more, taken = len(one.line), -(-len(one.body) // 4)
        full = len(chunk) == limits.requests or size + more > limits.bytes
        if chunk and (full or (limits.queued_tokens and tokens + taken > limits.queued_tokens)):
            yield chunk
            chunk, size, tokens = [], 0, 0
        chunk.append(one)
        size, tokens = size + more, tokens + taken
    if chunk:
        yield chunk


def waiting_words(ledger: Ledger) -> str:
    """What a scope waits for: `waits for 250 answers in 1 batch since 2026-11-28 21:00 UTC (batch_abc)`."""
    parts = []
    if ledger.open:
        since = min(batch.submitted_at for batch in ledger.open)
        names = ", ".join(batch.id or "being created" for batch in ledger.open[:3])
        batches = f"{len(ledger.open)} batch{'es' if len(ledger.open) > 1 else ''}"
        parts.append(f"{len(ledger.submitted):,} answers in {batches} since {since:%Y-%m-%d %H:%M} UTC ({names})")
    if ledger.postponed:
        parts.append(f"room for {ledger.postponed:,} requests in the provider's queue")
    return f"waits for {' and for '.join(parts)}" if parts else "waits for nothing"
