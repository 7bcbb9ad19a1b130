"""What assets get: an engine with its leases, its keys checked, and an orderly end on a signal."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError, raise_execution_interrupts

from resources.chat.budget import Budget
from resources.chat.calls import BudgetSpent, Call
from resources.chat.profile import Endpoint, Profile
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.store import LocalStore
from tests.fake_endpoint import FakeEndpoint

if TYPE_CHECKING:
    from tests.resources.chat.conftest import ChatSetup

SCOPE = "scenario_dialogues/debate|demo-0000"
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class Leases:
    """Counts the embedded servers leased, in all and at this moment; each is the fake endpoint."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.taken = self.open = 0

    @contextmanager
    def lease(self, name: str, endpoint: Endpoint, on_lease: object) -> Iterator[str]:
        self.taken += 1
        self.open += 1
        try:
            yield self.base_url
        finally:
            self.open -= 1


def service(chat: "ChatSetup", profile: Profile | None = None, budget: Budget | None = None) -> ChatService:
    return ChatService(profile or chat.profile(), LocalStore(chat.folder), budget)


def ask(service: ChatService, *calls: Call, run: str | None = None) -> list[bool]:
    """Whether each completion was replayed."""

    async def work() -> list[bool]:
        async with service.engine(run=run) as engine:
            return [(await engine.complete(call, scope=SCOPE)).replayed for call in calls]

    return run_async(work())


def test_an_embedded_server_is_leased_while_the_engine_lives_and_not_for_a_replay(chat: "ChatSetup") -> None:
    leases = Leases(chat.endpoint.base_url)
    profile = chat.profile(kind="embedded", base_url=None)
    for replayed in (False, True):
        leasing = ChatService(profile, LocalStore(chat.folder), lease=leases.lease)
        assert ask(leasing, *chat.calls(2)) == [replayed] * 2
        assert (leases.taken, leases.open) == (1, 0)


def test_a_missing_key_is_named_before_anything_is_asked(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="SOME_KEY, which is not set"):
        ask(service(chat, chat.profile(api_key_env="SOME_KEY")), chat.call())
    assert chat.endpoint.requests == []


def test_the_target_concurrency_is_that_of_the_roles_in_use(chat: "ChatSetup") -> None:
    one = chat.profile(max_concurrency=10)
    judge = one.roles["judge"].model_copy(update={"endpoint": "judges"})
    profile = one.model_copy(
        update={
            "endpoints": {**one.endpoints, "judges": one.endpoints["fake"]},
            "roles": {**one.roles, "judge": judge},
        }
    )

    async def targets() -> tuple[int, int]:
        chats = service(chat, profile)
        async with chats.engine() as all_roles, chats.engine(["judge"]) as judging:
            return all_roles.target_concurrency, judging.target_concurrency

    assert run_async(targets()) == (24, 12)


def test_the_steps_of_a_run_draw_on_one_budget(chat: "ChatSetup") -> None:
    first, second = chat.calls(2)
    ask(service(chat, budget=Budget(tokens=15)), first, run="first run")
    with pytest.raises(BudgetSpent):
        ask(service(chat, budget=Budget(tokens=15)), second, run="first run")
    ask(service(chat, budget=Budget(tokens=15)), second, run="second run")
    assert len(chat.endpoint.chats) == 2


# ---- signals


class Interrupted:
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
    interrupted = Interrupted(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_async(interrupted.work())
    assert interrupted.cleaned


@pytest.mark.parametrize("number", INTERRUPTS)
def test_within_a_dagster_step_dagsters_own_interrupt_follows(number: signal.Signals) -> None:
    interrupted = Interrupted(number)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(DagsterExecutionInterruptedError), raise_execution_interrupts():
            run_async(interrupted.work())
    finally:
        signal.signal(signal.SIGTERM, terminate)
    assert interrupted.cleaned


def test_the_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in INTERRUPTS]
    run_async(asyncio.sleep(0))
    assert [signal.getsignal(number) for number in INTERRUPTS] == before


def test_it_runs_outside_the_main_thread_too() -> None:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(run_async(asyncio.sleep(0, "done"))))
    thread.start()
    thread.join()
    assert results == ["done"]


def test_an_interrupted_run_pays_only_for_what_is_new(chat: "ChatSetup") -> None:
    chats = service(chat)
    chat.endpoint.script("42", FakeEndpoint.hangs())
    first, second = chat.calls(2)

    async def interrupted() -> None:
        async with chats.engine() as engine:
            await engine.complete(first, scope=SCOPE)
            pending = asyncio.create_task(engine.complete(second, scope=SCOPE))
            await asyncio.to_thread(chat.endpoint.wait_for, 2)
            signal.raise_signal(signal.SIGINT)
            await pending

    with pytest.raises(KeyboardInterrupt):
        run_async(interrupted())
    assert ask(chats, first, second) == [True, False]
