"""What assets get: an engine with its leases, its keys checked, and an orderly end on a signal."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError, raise_execution_interrupts

from resources.chat.budget import Budget
from resources.chat.calls import BudgetSpent, Call, Completion
from resources.chat.profile import Endpoint, Profile, Role
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.store import LocalStore

if TYPE_CHECKING:
    from tests.fake_endpoint import FakeEndpoint

MakeProfile = Callable[..., Profile]
MakeCall = Callable[..., Call]
SCOPE = "scenario_dialogues/debate|demo-0000"


@pytest.fixture
def embedded_profile(make_profile: MakeProfile) -> Profile:
    return make_profile(kind="embedded", base_url=None)


class Leases:
    """Counts the embedded servers held; each is the fake endpoint."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.taken = self.held = 0

    @contextmanager
    def lease(self, endpoint: Endpoint) -> Iterator[str]:
        self.taken += 1
        self.held += 1
        try:
            yield self.base_url
        finally:
            self.held -= 1


@pytest.fixture
def leases(fake_endpoint: "FakeEndpoint") -> Leases:
    return Leases(fake_endpoint.base_url)


def ask(service: ChatService, *calls: Call) -> list[Completion]:
    async def work() -> list[Completion]:
        async with service.engine() as engine:
            return list(await asyncio.gather(*(engine.complete(call, scope=SCOPE) for call in calls)))

    return run_async(work())


def test_an_embedded_server_is_held_while_the_engine_lives(
    embedded_profile: Profile, leases: Leases, make_call: MakeCall, tmp_path: Path
) -> None:
    service = ChatService(embedded_profile, LocalStore(tmp_path), lease=leases.lease)
    ask(service, make_call(sample="d1"), make_call(sample="d2"))
    assert (leases.taken, leases.held) == (1, 0)


def test_a_replay_starts_no_server(
    embedded_profile: Profile, leases: Leases, make_call: MakeCall, tmp_path: Path
) -> None:
    service = ChatService(embedded_profile, LocalStore(tmp_path), lease=leases.lease)
    for _ in range(2):
        ask(service, make_call())
    assert leases.taken == 1


def test_a_missing_key_is_named_before_anything_is_asked(
    fake_endpoint: "FakeEndpoint",
    make_profile: MakeProfile,
    make_call: MakeCall,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    service = ChatService(make_profile(api_key_env="SOME_KEY"), LocalStore(tmp_path))
    with pytest.raises(ConfigurationError, match="SOME_KEY, which is not set"):
        ask(service, make_call())
    assert fake_endpoint.requests == []


def test_the_appetite_is_that_of_the_roles_in_use(make_profile: MakeProfile, tmp_path: Path) -> None:
    one = make_profile(max_concurrency=10)
    profile = one.model_copy(
        update={
            "endpoints": {**one.endpoints, "judges": one.endpoints["fake"]},
            "roles": {**one.roles, Role.JUDGE: one.roles[Role.JUDGE].model_copy(update={"endpoint": "judges"})},
        }
    )
    service = ChatService(profile, LocalStore(tmp_path))

    async def concurrencies() -> tuple[int, int]:
        async with service.engine() as everyone, service.engine([Role.JUDGE]) as judge:
            return everyone.target_concurrency, judge.target_concurrency

    assert run_async(concurrencies()) == (24, 12)


def test_the_steps_of_a_run_draw_on_one_budget(
    fake_endpoint: "FakeEndpoint", make_profile: MakeProfile, make_call: MakeCall, tmp_path: Path
) -> None:
    def step(run: str, sample: str) -> None:
        async def work() -> None:
            service = ChatService(make_profile(), LocalStore(tmp_path), Budget(tokens=15))
            async with service.engine(run=run) as engine:
                await engine.complete(make_call(sample=sample), scope=SCOPE)

        run_async(work())

    step("first run", "d1")
    with pytest.raises(BudgetSpent):
        step("first run", "d2")
    step("second run", "d2")
    assert len(fake_endpoint.chats) == 2


class Tidy:
    """A coroutine that is interrupted while it waits, and notes that it could clean up."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        self.cleaned = False

    async def work(self) -> None:
        try:
            signal.raise_signal(self.number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.cleaned = True


def test_ctrl_c_cancels_cleans_up_and_then_interrupts() -> None:
    tidy = Tidy(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_async(tidy.work())
    assert tidy.cleaned


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_within_a_dagster_step_dagsters_own_interrupt_follows(number: signal.Signals) -> None:
    tidy = Tidy(number)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(DagsterExecutionInterruptedError), raise_execution_interrupts():
            run_async(tidy.work())
    finally:
        signal.signal(signal.SIGTERM, terminate)
    assert tidy.cleaned


def test_the_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run_async(asyncio.sleep(0))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_it_runs_outside_the_main_thread_too() -> None:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(run_async(asyncio.sleep(0, "done"))))
    thread.start()
    thread.join()
    assert results == ["done"]


def test_an_interrupted_run_pays_only_for_what_is_new(
    fake_endpoint: "FakeEndpoint", make_profile: MakeProfile, make_call: MakeCall, tmp_path: Path
) -> None:
    service = ChatService(make_profile(), LocalStore(tmp_path))
    fake_endpoint.script("42", fake_endpoint.hangs())

    async def interrupted() -> None:
        async with service.engine() as engine:
            await engine.complete(make_call(sample="d1"), scope=SCOPE)
            pending = asyncio.create_task(engine.complete(make_call(sample="d2"), scope=SCOPE))
            await asyncio.to_thread(fake_endpoint.wait_for, 2)
            signal.raise_signal(signal.SIGINT)
            await pending

    with pytest.raises(KeyboardInterrupt):
        run_async(interrupted())
    answers = ask(service, make_call(sample="d1"), make_call(sample="d2"))
    assert [answer.replayed for answer in answers] == [True, False]
