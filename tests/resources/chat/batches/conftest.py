"""`waves`: a role in batches on a batch server, and runs of a scope over a temporary lake."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.chat.batches import collection
from resources.chat.batches.ledger import Ledger, read_ledger
from resources.chat.budget import Budget
from resources.chat.calls import AwaitingBatch, Call, CallFailed, Completion, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile
from resources.chat.retries import RetryPolicy
from resources.chat.spending_log import Spent, read_spending
from resources.lake.store import LocalStore, Store
from tests.batch_server import BatchServer
from tests.fake_endpoint import FakeEndpoint

SCOPE = "scenario_dialogues/debate|demo-0000"


class WavesSetup:
    """What a test of batches needs: a server, a lake, and runs over so many calls."""

    def __init__(self, server: BatchServer, folder: Path) -> None:
        self.server = server
        self.store: Store = LocalStore(folder)
        self.usage: Any = None

    def profile(self, role: dict[str, Any] | None = None, **limits: Any) -> Profile:
        """A teacher in batches and a student live at the same server; `limits` are those of its batches."""
        model = {"endpoint": "hosted", "model": "tiny", "temperature": 0.5, "max_tokens": 64}
        return Profile.model_validate(
            {
                "name": "test",
                "endpoints": {"hosted": {"base_url": self.server.base_url, "batches": limits}},
                "prices": {"tiny": {"prompt": 1e6, "completion": 1e6}},  # a dollar per token
                "roles": {
                    "weak_student": model,
                    "critic_teacher": {**model, "mode": "batch", **(role or {})},
                },
            }
        )

    @staticmethod
    def call(number: int = 0, role: str = "critic_teacher", **fields: Any) -> Call:
        """One question in dialogue `d<number>`."""
        text = f"What is {number} + {number}?"
        return Call(
            **{"role": role, "messages": (Message("user", text),), "sample": f"d{number}", "turn": "1"} | fields
        )

    def run(
        self, *calls: Call, profile: Profile | None = None, budget: Budget | None = None, scope: str = SCOPE
    ) -> list[Completion | None]:
        """One run over a scope: the completion of each call, or None where it waits, and then the submission."""
        return asyncio.run(self._run(calls, profile or self.profile(), budget, scope))

    def engine(self, profile: Profile | None = None, budget: Budget | None = None) -> ChatEngine:
        """An engine that lets calls wait for batches and tries failed ones again at once."""
        retries = RetryPolicy(first_wait=0.0)
        return ChatEngine(profile or self.profile(), self.store, budget=budget, retries=retries, batches=True)

    async def _run(
        self, calls: tuple[Call, ...], profile: Profile, budget: Budget | None, scope: str
    ) -> list[Completion | None]:
        async with self.engine(profile, budget) as engine:
            found = await asyncio.gather(*(engine.complete(one, scope=scope) for one in calls), return_exceptions=True)
            if any(isinstance(one, AwaitingBatch) for one in found):
                await engine.submit(scope)
            self.usage = engine.take_usage(scope)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, AwaitingBatch | CallFailed):
                raise one
        return [one if isinstance(one, Completion) else None for one in found]

    def run_until_done(self, *calls: Call, runs: int = 12, **options: Any) -> list[Completion]:
        """Runs of the scope until every call has its completion."""
        for _ in range(runs):
            found = self.run(*calls, **options)
            if None not in found:
                return [one for one in found if one is not None]
        raise AssertionError(f"not done after {runs} runs: {self.ledger}")

    @property
    def spent(self) -> list[Spent]:
        """What was paid, as the lake records it."""
        return read_spending(self.store)

    @property
    def ledger(self) -> Ledger:
        return read_ledger(self.store, SCOPE)


@pytest.fixture
def batch_server(fake_endpoint: FakeEndpoint) -> Iterator[BatchServer]:
    server = BatchServer(fake_endpoint)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def waves(batch_server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WavesSetup:
    monkeypatch.setattr(collection, "SETTLE_SECONDS", 0.0)
    return WavesSetup(batch_server, tmp_path)
