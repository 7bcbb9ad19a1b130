"""The answers of ended batches, on their way from the provider into the journal; then their files are deleted."""

import logging
import platform
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from resources.chat.accounting import TOKENS
from resources.chat.batches.ledger import (
    Batch,
    Failed,
    Ledger,
    LeftFiles,
    change_ledger,
    forgetting,
    now,
    only_process,
    queued_tokens,
    read_ledger,
    removing,
    setting_id,
)
from resources.chat.batches.provider import BatchProvider, SeenBatch
from resources.chat.calls import CallFailed, EndpointUnusable
from resources.chat.journal import ScopeJournal
from resources.chat.profile import Profile
from resources.chat.replies import AttemptFailed, Reply, Throttled, UnusableReply, read_completion
from resources.chat.serialisation import encode_completion
from resources.chat.server_errors import raise_for_status
from resources.chat.spending_log import SpendingLog
from resources.configuration import ConfigurationError
from resources.lake.store import Store

SETTLE_SECONDS = 15.0  # in which a batch whose creation was sent shows up at its provider
OTHER_HOST = timedelta(hours=1)  # after which a process of another machine is no longer about to create its batch

Known = TypeVar("Known", Batch, LeftFiles)

logger = logging.getLogger(__name__)


def collect(profile: Profile, store: Store, scope: str) -> Ledger:
    """Read the answers of ended batches into the journal of the scope, and return the ledger of what is left.

    An answer whose key the journal has already is ignored. What ended without an answer is asked again. Batches of
    endpoints that the profile does not have stay as they are. The files of what is collected are deleted.

    Raises:
        EndpointUnreachable, EndpointUnusable, ConfigurationError: a provider does not say what became of its batches,
            or has no key. Those of the others are collected.
        StoreError: the lake cannot be read or written.
    """
    if not ((ledger := read_ledger(store, scope)).open or ledger.left_files):
        return ledger
    failures = list[EndpointUnusable | ConfigurationError]()
    with only_process(store, scope):
        journal = ScopeJournal(store, scope)
        journal.load()
        for name, batches in _by_endpoint(profile, read_ledger(store, scope).open).items():
            try:
                _collect(profile, store, scope, journal, name, batches)
            except (EndpointUnusable, ConfigurationError) as error:
                failures.append(error)
        delete_files(profile, store, [read_ledger(store, scope)])
    if failures:
        raise failures[0]
    return read_ledger(store, scope)


def delete_files(profile: Profile, store: Store, ledgers: Sequence[Ledger]) -> None:
    """Delete at their providers the files that batches left, and note it in the ledgers.

    Where that fails, they stay in the ledgers for the next time, with a warning. So do those of endpoints that the
    profile does not have. Those of endpoints with `keep_files` are forgotten.

    Raises:
        StoreError: the lake cannot be written.
    """
    for name, left in _by_endpoint(profile, [files for ledger in ledgers for files in ledger.left_files]).items():
        try:
            if not profile.endpoints[name].batches.keep_files:
                with BatchProvider(name, profile.endpoints[name]) as provider:
                    provider.delete_files(left)
        except (EndpointUnusable, ConfigurationError) as error:
            logger.warning("the files of %d batches are not deleted yet: %s", len(left), error)
            continue
        for ledger in ledgers:
            if any(files.endpoint == name for files in ledger.left_files):
                change_ledger(store, ledger.scope, forgetting(left))


def _collect(
    profile: Profile, store: Store, scope: str, journal: ScopeJournal, name: str, batches: Sequence[Batch]
) -> None:
    """As `collect`, the batches of one endpoint."""
    with BatchProvider(name, profile.endpoints[name]) as provider:
        seen = provider.find(batches)
        for batch in batches:
            state = seen.get(batch.mark)
            if state is None and _never_created(batch):
                logger.warning("%s: a batch of %d requests was never created", scope, len(batch.requests))
                change_ledger(store, scope, removing(batch.mark, only_if=_never_created))
            elif state and state.ended:
                queued = queued_tokens(store) if state.queue_full else Counter()
                alone = queued[name, batch.model] <= batch.prompt_tokens
                change = _Collection(profile, batch, state, journal).read(provider, store, scope, alone=alone)
                change_ledger(store, scope, change)
            elif state and batch.id is None:
                change_ledger(store, scope, setting_id(batch.mark, state.id))


def ended_batches(
    profile: Profile, ledgers: Sequence[Ledger]
) -> tuple[set[str], list[EndpointUnusable | ConfigurationError]]:
    """The marks of open batches that ended at their providers, or seem never to be created. Changes nothing.

    Returns:
        The marks, and an error for each provider that is unreachable, refuses to say what became of its batches, or
        has no key: its batches count as open.
    """
    ended, failures = set[str](), list[EndpointUnusable | ConfigurationError]()
    for name, batches in _by_endpoint(profile, [batch for ledger in ledgers for batch in ledger.open]).items():
        try:
            with BatchProvider(name, profile.endpoints[name]) as provider:
                seen = provider.find(batches)
        except (EndpointUnusable, ConfigurationError) as error:
            failures.append(error)
            continue
        for batch in batches:
            state = seen.get(batch.mark)
            if state.ended if state else _never_created(batch):
                ended.add(batch.mark)
    return ended, failures


def collect_ended(
    profile: Profile, store: Store, ledgers: Sequence[Ledger], ended: Collection[str]
) -> list[EndpointUnusable | ConfigurationError]:
    """Collect the scopes of these ledgers that have a batch with a mark in `ended`; the errors of those that fail.

    Raises:
        StoreError: the lake cannot be read or written.
    """
    failures = list[EndpointUnusable | ConfigurationError]()
    for ledger in ledgers:
        if any(batch.mark in ended for batch in ledger.open):
            try:
                collect(profile, store, ledger.scope)
            except (EndpointUnusable, ConfigurationError) as error:
                failures.append(error)
    return failures


class _Collection:
    """The answers of one ended batch on their way into the journal and the record of what was paid."""

    def __init__(self, profile: Profile, batch: Batch, seen: SeenBatch, journal: ScopeJournal) -> None:
        self._prices, self._batch, self._seen, self._journal = profile.prices, batch, seen, journal
        self._refused: set[str] = set()

    def read(self, provider: BatchProvider, store: Store, scope: str, *, alone: bool) -> Callable[[Ledger], None]:
        """Journal every usable answer; returns the change of the ledger. All is in the lake then.

        A process of another machine may have collected the batch meanwhile, and deleted the files as they were read:
        its record stays.
        Where other batches filled the queue, so that this one is not `alone`, its refusal is no try of its requests.
        """
        # Reading the batch again writes the same file again, so that nothing counts twice.
        log = SpendingLog(store, self._batch.run, name=f"batch-{self._batch.mark}")
        seen: set[str] = set()
        for line in provider.replies(self._seen):
            if line.reply is not None and line.key in self._batch.requests and line.key not in seen:
                seen.add(line.key)
                role = self._batch.requests[line.key].role
                log.add(scope, role, self._batch.model, self._read_line(line.key, line.reply), batch=True)
        self._journal.close()
        if not read_ledger(store, scope).has_open(self._batch.mark):
            return lambda _: None
        log.save()
        refused = self._refused
        left = {key for key in self._batch.requests if not self._journal.get(bytes.fromhex(key))}
        if left:
            logger.warning(
                "batch %s is %s: %d of %d requests have no answer and are asked again%s",
                self._seen.id,
                self._seen.status,
                len(left),
                len(self._batch.requests),
                f" ({self._seen.errors})" if self._seen.errors else "",
            )
        counted = alone or not self._seen.queue_full
        return lambda ledger: self._settle(ledger, left, refused, counted)

    def _read_line(self, name: str, reply: Reply) -> dict[str, float]:
        """Journal one answer, unless the journal has one to the same request; what it took, as fields of `Spent`."""
        key = bytes.fromhex(name)
        try:
            raise_for_status(reply, self._batch.endpoint)
            completion = read_completion(reply, self._batch.requests[name].characters)
        except (CallFailed, UnusableReply):
            self._refused.add(name)
            return {}
        except Throttled:
            return {}
        except AttemptFailed as failed:
            prompt, written = failed.tokens
            took = {"prompt_tokens": prompt, "completion_tokens": written, "wasted": int(failed.wasted)}
            return took | {"cost": self._cost(prompt, written)}
        if not self._journal.get(key):
            self._journal.append(key, encode_completion(replace(completion, batch=True)))
        took = {field: getattr(completion, field) for field in TOKENS}
        cost = self._cost(completion.prompt_tokens, completion.completion_tokens, completion.cached_tokens)
        return took | {"calls": 1, "cost": cost}

    def _cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        price = self._prices.get(self._batch.model)
        return price.cost(prompt_tokens, completion_tokens, cached_tokens=cached_tokens, batch=True) if price else 0.0

    def _settle(self, ledger: Ledger, left: set[str], refused: set[str], counted: bool) -> None:
        if not ledger.has_open(self._batch.mark):
            return
        removing(self._batch.mark, self._seen.all_files)(ledger)
        ledger.queue_full = self._seen.queue_full
        for key in left:
            failed = ledger.failed.setdefault(key, Failed(since=self._batch.submitted_at))
            failed.tries += counted
            failed.refused |= key in refused
        for key in self._batch.requests.keys() - left:
            ledger.failed.pop(key, None)


def _never_created(batch: Batch) -> bool:
    """Whether a batch that its provider does not know will not be created any more.

    Ask it of the batch in a change of the ledger: its process confirms it there right before it is created.
    """
    age = now() - batch.submitted_at
    return batch.id is None and age >= (
        timedelta(seconds=SETTLE_SECONDS) if batch.host == platform.node() else OTHER_HOST
    )


def _by_endpoint(profile: Profile, batches: Sequence[Known]) -> dict[str, list[Known]]:
    found: defaultdict[str, list[Known]] = defaultdict(list)
    for batch in batches:
        if batch.endpoint in profile.endpoints:
            found[batch.endpoint].append(batch)
        else:
            logger.warning("batch %s is of endpoint %r, which the profile does not have", batch.mark, batch.endpoint)
    return dict(found)
