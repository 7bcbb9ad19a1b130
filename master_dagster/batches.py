"""Open batches for people: what is open and since when, and a wait until one of them ends."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from assets.framework.ui_metadata import counted
from master_dagster.deployment import Deployment
from resources.chat.batches.collection import collect_ended, ended_batches
from resources.chat.batches.ledger import Ledger, all_ledgers
from resources.chat.calls import EndpointUnreachable
from resources.lake.store import Store

POLL_SECONDS = 30.0


def open_batches(store: Store) -> list[dict[str, Any]]:
    """One row per open batch of a lake, the oldest first: id, scope, endpoint, model, requests, since, reserved."""
    rows = [
        {
            "batch": batch.id,
            "scope": ledger.scope,
            "endpoint": batch.endpoint,
            "model": batch.model,
            "requests": len(batch.requests),
            "since": batch.submitted_at.isoformat(timespec="seconds"),
            "at_most": batch.reserved_cost,
        }
        for ledger in all_ledgers(store)
        for batch in ledger.open
    ]
    return sorted(rows, key=lambda row: str(row["since"]))


def batches_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """The open batches in one sentence: `2 batches with 500 requests are open, the oldest since … (at most $1.20)`."""
    requests, cost = sum(row["requests"] for row in rows), sum(row["at_most"] for row in rows)
    since = str(rows[0]["since"])[:16].replace("T", " ")
    return (
        f"{counted(len(rows), 'batch')} with {counted(requests, 'request')} {'is' if len(rows) == 1 else 'are'} open, "
        f"the oldest since {since} UTC (at most ${cost:,.2f})"
    )


def wait_for_batch(deployment: Deployment) -> None:
    """Wait until one of the open batches of the profile's endpoints ends, and collect it; nothing where none is open.

    It is collected here because no run does where other calls have made its partition meanwhile.

    Raises:
        EndpointUnusable, ConfigurationError: a provider refuses to say what became of its batches, or has no key.
    """
    store, profile = deployment.lake().store, deployment.profile
    ledgers = [ledger for ledger in all_ledgers(store) if _concerns(ledger, deployment)]
    while ledgers:
        ended, failures = ended_batches(profile, ledgers)
        if ended:
            failures = collect_ended(profile, store, ledgers, ended)
        for failure in failures:
            if not isinstance(failure, EndpointUnreachable):
                raise failure
        if ended:
            return
        time.sleep(POLL_SECONDS)  # a batch takes hours: the next look may reach a provider that this one did not


def _concerns(ledger: Ledger, deployment: Deployment) -> bool:
    return any(batch.endpoint in deployment.profile.endpoints for batch in ledger.open)
