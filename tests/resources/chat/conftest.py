"""`chat`: a profile on the fake endpoint, engines over a temporary lake that try again at once, and calls to ask."""

import asyncio
import selectors
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.calls import Call, Completion, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile
from resources.chat.retries import RetryPolicy
from resources.lake.store import LocalStore, Store, StoredFile

if TYPE_CHECKING:
    from tests.fake_endpoint import FakeEndpoint

MOMENT = 0.02  # seconds in which an answer on loopback is there
PROJECT = Path(__file__).parents[3]
SCOPE = "scenario_dialogues/debate|demo-0000"
PROGRAM = """
import asyncio, os, resource, signal, sys
from resources.chat.calls import Call, Message
from resources.chat.engine import ChatEngine
from resources.chat.journal import ScopeJournal
from resources.chat.profile import Profile
from resources.chat.settings import EngineSettings
from resources.lake.opening import open_store

profile, store, scope, prefix = Profile.model_validate_json(sys.argv[1]), open_store(sys.argv[2]), *sys.argv[3:]

def ask(engine, *numbers):
    question = (Message("user", "What is 6 x 7?"),)
    calls = [Call("strong_student", question, f"{prefix}{number}", "2-strong_student") for number in numbers]
    return asyncio.gather(*(engine.complete(call, scope=scope) for call in calls))

"""


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


class ChatSetup:
    """What a test of the engine needs. `endpoint` is the fake endpoint, `folder` the lake's."""

    def __init__(self, endpoint: "FakeEndpoint", folder: Path) -> None:
        self.endpoint = endpoint
        self.folder = folder

    def profile(
        self, role: dict[str, Any] | None = None, prices: dict[str, Any] | None = None, **given: Any
    ) -> Profile:
        """Every role on one endpoint named `fake`; `given` are further fields of the endpoint."""
        model = {"endpoint": "fake", "model": "tiny", "temperature": 0.5, "max_tokens": 64, **(role or {})}
        return Profile.model_validate(
            {
                "name": "test",
                "endpoints": {"fake": {"base_url": self.endpoint.base_url, **given}},
                "prices": prices or {},
                "roles": dict.fromkeys(("weak_student", "strong_student", "critic_teacher", "judge"), model),
            }
        )

    def engine(self, profile: Profile | None = None, store: Store | None = None, **options: Any) -> ChatEngine:
        """An engine over the lake's folder that tries again at once."""
        options.setdefault("retries", RetryPolicy(first_wait=0.0))
        return ChatEngine(profile or self.profile(), store or LocalStore(self.folder), **options)

    @staticmethod
    def call(text: str = "What is 6 x 7?", *, system: str | None = None, **fields: Any) -> Call:
        """One user message to the strong student, of dialogue `d1`."""
        messages = (*([Message("system", system)] if system else []), Message("user", text))
        return Call(
            messages=messages, **{"role": "strong_student", "sample": "d1", "turn": "2-strong_student"} | fields
        )

    def calls(self, number: int) -> list[Call]:
        """The same question in so many dialogues, `d0`, `d1`, …"""
        return [self.call(sample=f"d{one}") for one in range(number)]

    @staticmethod
    async def answers(engine: ChatEngine, *calls: Call) -> list[Any]:
        """The completion or the error of each call, all asked at once."""
        async with engine:
            return await asyncio.gather(*(engine.complete(one, scope=SCOPE) for one in calls), return_exceptions=True)

    def ask(self, *calls: Call, engine: ChatEngine | None = None) -> list[Completion]:
        """The completions of all calls, asked at once of one engine; raises the first error."""
        found = asyncio.run(self.answers(engine or self.engine(), *calls))
        for answer in found:
            if isinstance(answer, BaseException):
                raise answer
        return found

    def ask_one(self, engine: ChatEngine | None = None, call: Call | None = None) -> Completion:
        return self.ask(call or self.call(), engine=engine)[0]

    def ask_in_turn(self, *calls: Call, engine: ChatEngine | None = None) -> None:
        """Ask one call after the other."""

        async def work(engine: ChatEngine) -> None:
            async with engine:
                for one in calls:
                    await engine.complete(one, scope=SCOPE)

        asyncio.run(work(engine or self.engine()))

    def paid_again(self, *calls: Call, profile: Profile | None = None, store: Store | None = None) -> tuple[int, int]:
        """How many of these calls a new engine takes from the journal, and how many it pays for."""
        engine = self.engine(profile, store)
        self.ask(*calls, engine=engine)
        return engine.total.replayed, engine.total.calls

    def journal_file(self) -> StoredFile:
        """The only one."""
        (file,) = LocalStore(self.folder).list("_journal")
        return file

    @staticmethod
    def hurry(work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine whose waits take no time."""
        with asyncio.Runner(loop_factory=HurriedLoop) as runner:
            return runner.run(work)

    def start(
        self, program: str, profile: Profile | None = None, lake: str | None = None, prefix: str = "d"
    ) -> "subprocess.Popen[str]":
        """A process that runs `PROGRAM` and then `program`; it may ask with `ask(engine, 0, 1, …)`."""
        given = [(profile or self.profile()).model_dump_json(), lake or str(self.folder), SCOPE, prefix]
        command = [sys.executable, "-c", PROGRAM + program, *given]
        return subprocess.Popen(command, cwd=PROJECT, text=True, stderr=subprocess.PIPE)


@pytest.fixture
def chat(fake_endpoint: "FakeEndpoint", tmp_path: Path) -> ChatSetup:
    return ChatSetup(fake_endpoint, tmp_path)
