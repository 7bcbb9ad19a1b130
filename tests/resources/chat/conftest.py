"""A profile that talks to the fake endpoint, and an engine that never waits between attempts."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.calls import Call, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile, Role
from resources.chat.retries import RetryPolicy
from resources.lake.store import LocalStore

if TYPE_CHECKING:
    from tests.fake_endpoint import FakeEndpoint

MOMENT = 0.02  # seconds in which an answer on loopback is there

MakeProfile = Callable[..., Profile]
MakeEngine = Callable[..., ChatEngine]
MakeCall = Callable[..., Call]


class HurriedLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits for a timer: where nothing else happens, its clock goes on to the next one."""

    def __init__(self) -> None:
        self.ahead = 0.0
        super().__init__(HurriedSelector(self))

    def time(self) -> float:
        return super().time() + self.ahead


class HurriedSelector(selectors.DefaultSelector):
    def __init__(self, loop: HurriedLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= MOMENT:
            return super().select(timeout)
        ready = super().select(MOMENT)
        if not ready:
            self.loop.ahead += timeout - MOMENT
        return ready


@pytest.fixture(scope="session")
def hurry() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine whose waits take no time."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=HurriedLoop) as runner:
            return runner.run(work)

    return run


@pytest.fixture
def make_profile(fake_endpoint: "FakeEndpoint") -> MakeProfile:
    """`make_profile(role={…}, prices={…}, max_concurrency=…)`: every role on one endpoint named `fake`."""

    def make(role: dict[str, Any] | None = None, prices: dict[str, Any] | None = None, **endpoint: Any) -> Profile:
        cast = {"endpoint": "fake", "model": "tiny", "temperature": 0.5, "max_tokens": 64, **(role or {})}
        return Profile.model_validate(
            {
                "name": "test",
                "endpoints": {"fake": {"base_url": fake_endpoint.base_url, **endpoint}},
                "prices": prices or {},
                "roles": {part.value: cast for part in Role},
            }
        )

    return make


@pytest.fixture
def make_engine(make_profile: MakeProfile, tmp_path: Path) -> MakeEngine:
    """An engine over `tmp_path` that tries again at once."""

    def make(profile: Profile | None = None, **options: Any) -> ChatEngine:
        options.setdefault("retries", RetryPolicy(first_wait=0.0))
        return ChatEngine(profile or make_profile(), LocalStore(tmp_path), **options)

    return make


@pytest.fixture
def make_call() -> MakeCall:
    """`make_call("question", sample="d1")`: one user message to the strong student."""

    def make(text: str = "What is 6 x 7?", *, system: str | None = None, **fields: Any) -> Call:
        messages = (*([Message("system", system)] if system else []), Message("user", text))
        fields = {"role": Role.STRONG_STUDENT, "sample": "d1", "turn": "2-strong_student", **fields}
        return Call(messages=messages, **fields)

    return make
