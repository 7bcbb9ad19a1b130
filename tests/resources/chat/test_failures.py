"""What is lost when the endpoint, the disk, the lake or the machine's clock fail, and what is not."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.calls import CallFailed, Completion, EndpointUnusable
from resources.chat.endpoint_share import EndpointShare
from resources.chat.engine import ChatEngine
from resources.chat.journal import ScopeJournal
from resources.chat.journal_format import decode_file, encode_line
from resources.chat.retries import RetryPolicy
from resources.chat.settings import EngineSettings
from resources.lake.opening import open_store
from resources.lake.store import LocalStore, StoreUnreachable
from tests.fake_endpoint import FakeEndpoint

if TYPE_CHECKING:
    from tests.fake_endpoint import Answer, SeenRequest
    from tests.resources.chat.conftest import ChatSetup

SCOPE = "scenario_dialogues/debate|demo-0000"
DEFAULT_RETRIES = RetryPolicy()
fails, says = FakeEndpoint.fails, FakeEndpoint.says


def texts(answers: list[Any]) -> list[str]:
    return [answer.text if isinstance(answer, Completion) else repr(answer) for answer in answers]


# ---- the endpoint


class Outage:
    """An endpoint that answers with `failure` from one second to another, on the engine's own clock."""

    def __init__(self, failure: "Answer", begins: float, seconds: float) -> None:
        self.failure, self.begins, self.seconds = failure, begins, seconds
        self.clock: Callable[[], float] = time.monotonic
        self.started = 0.0

    def start(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.started = self.clock()

    def rule(self, request: "SeenRequest") -> "Answer | str":
        passed = self.clock() - self.started
        return self.failure if self.begins <= passed < self.begins + self.seconds else "42"


@pytest.mark.parametrize(
    ("failure", "begins", "seconds"),
    [(FakeEndpoint.resets(), 0, 30), (FakeEndpoint.resets(), 1, 30), (fails(429), 0, 60)],
    ids=["reset at first", "reset later", "throttled without a time"],
)
def test_a_passing_outage_of_the_endpoint_fails_no_call(
    chat: "ChatSetup", failure: "Answer", begins: float, seconds: float
) -> None:
    outage = Outage(failure, begins, seconds)
    chat.endpoint.answer_with(outage.rule)
    calls = chat.calls(12)

    async def work() -> list[Any]:
        outage.start()
        async with chat.engine(retries=RetryPolicy(jitter=0)) as engine:
            answers: list[Any] = []
            for some in (calls[:6], calls[6:]):
                answers += await asyncio.gather(*(engine.complete(one, scope=SCOPE) for one in some))
                await asyncio.sleep(2)
            return answers

    assert texts(chat.hurry(work())) == ["42"] * 12
    assert len(chat.endpoint.chats) < 20 * 12


def test_an_endpoint_that_is_gone_for_good_stops_the_run_and_keeps_what_is_paid(chat: "ChatSetup") -> None:
    other = FakeEndpoint()
    other.start()
    first, second = chat.calls(2)

    async def work() -> None:
        async with chat.engine(chat.profile(base_url=other.base_url), retries=DEFAULT_RETRIES) as engine:
            await engine.complete(first, scope=SCOPE)
            other.stop()
            await engine.complete(second, scope=SCOPE)

    with pytest.raises(EndpointUnusable, match=r"unreachable.*start it, or correct"):
        chat.hurry(work())
    assert chat.paid_again(first, second) == (1, 1)


def test_a_key_revoked_in_the_middle_stops_the_run_and_keeps_what_is_paid(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    profile = chat.profile(api_key_env="SOME_KEY", max_concurrency=1)
    chat.endpoint.script(*["42"] * 5, fails(401, "this key was revoked"))
    answers = asyncio.run(chat.answers(chat.engine(profile), *chat.calls(12)))
    stopped = [answer for answer in answers if isinstance(answer, EndpointUnusable)]
    assert len(stopped) == 12 - 5
    assert "this key was revoked" in str(stopped[0])
    assert len(chat.endpoint.chats) == 6
    assert chat.paid_again(*chat.calls(12), profile=profile) == (5, 12 - 5)


def test_a_poison_call_fails_alone(chat: "ChatSetup") -> None:
    chat.endpoint.answer_with(lambda request: fails(500) if request.last == "poison" else "42")
    poison = chat.call("poison", sample="bad")
    *others, failed = asyncio.run(chat.answers(chat.engine(), *chat.calls(12), poison))
    assert texts(others) == ["42"] * 12
    assert isinstance(failed, CallFailed)


# ---- the disk and the lake

FILLS_THE_DISK = """
async def main():
    async with ChatEngine(profile, store) as engine:
        for number in range(12):
            await ask(engine, number)

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
asyncio.run(main())
"""


def test_a_full_disk_stops_the_run_and_keeps_every_answer_that_was_used(chat: "ChatSetup") -> None:
    profile = chat.profile()
    _, errors = chat.start(FILLS_THE_DISK, profile).communicate()
    assert "cannot write the journal" in errors
    assert "make room or make it writable and run the same command again" in errors
    paid = len(chat.endpoint.chats)
    assert 0 < paid < 12
    assert chat.paid_again(*chat.calls(12), profile=profile)[0] == paid - 1  # all but the one that did not fit


class RemoteLake(LocalStore):
    """A lake elsewhere, as on S3, which is unreachable until a moment; `putting` holds the threads that wrote."""

    def __init__(self, root: Path, unreachable_until: float = 0.0) -> None:
        super().__init__(root)
        self.unreachable_until = unreachable_until
        self.clock: Callable[[], float] = time.monotonic
        self.putting: list[threading.Thread] = []

    def local_path(self, path: str) -> None:
        return None

    def put(self, path: str, data: bytes) -> None:
        self.putting.append(threading.current_thread())
        if self.clock() < self.unreachable_until:
            raise StoreUnreachable("the lake cannot be reached")
        super().put(path, data)

    def fail_for(self, seconds: float) -> None:
        """From now on, on the event loop's clock."""
        self.clock = asyncio.get_running_loop().time
        self.unreachable_until = self.clock() + seconds


class SilentLake(RemoteLake):
    """Does not answer writes until it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may = threading.Event()

    def put(self, path: str, data: bytes) -> None:
        self.may.wait(10)
        super().put(path, data)


def test_an_interrupted_run_waits_only_so_long_for_a_lake_that_does_not_answer(
    chat: "ChatSetup", caplog: pytest.LogCaptureFixture
) -> None:
    lake = SilentLake(chat.folder)

    async def work() -> None:
        async with chat.engine(store=lake, settings=EngineSettings(interrupted_seconds=0.05)) as engine:
            await engine.complete(chat.call(), scope=SCOPE)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert not lake.list("_journal")
    assert "up to 1 answers were not saved" in caplog.text
    lake.may.set()


def test_the_event_loop_never_waits_for_the_lake(chat: "ChatSetup") -> None:
    lake = RemoteLake(chat.folder, unreachable_until=float("inf"))

    async def work() -> None:
        settings = EngineSettings(segment_seconds=0.01, outage_seconds=0.0)
        async with chat.engine(store=lake, settings=settings) as engine:
            for number in itertools.count():
                await engine.complete(chat.call(sample=f"{number}"), scope=SCOPE)

    with pytest.raises(StoreUnreachable):
        asyncio.run(work())
    assert lake.putting
    assert threading.main_thread() not in lake.putting


def test_an_answer_that_comes_in_while_its_scope_is_closed_is_not_put_on_the_event_loop(chat: "ChatSetup") -> None:
    meanwhile: list[Callable[[], object]] = []

    class BusyLake(RemoteLake):
        def put(self, path: str, data: bytes) -> None:
            if meanwhile:
                meanwhile.pop()()
            super().put(path, data)

    lake = BusyLake(chat.folder)
    first, second, third = chat.calls(3)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with chat.engine(store=lake, settings=EngineSettings(open_scopes=0)) as engine:

            def answer_another() -> None:
                asyncio.run_coroutine_threadsafe(engine.complete(second, scope=SCOPE), loop).result(10)

            meanwhile.append(answer_another)
            await engine.complete(first, scope=SCOPE)
            await engine.complete(third, scope=f"{SCOPE}-of-another")

    asyncio.run(work())
    assert threading.main_thread() not in lake.putting


@pytest.mark.parametrize(
    ("settings", "wait", "second_scope"),
    [
        (EngineSettings(outage_seconds=0.0), 6, SCOPE),
        # The second call waits for the first scope's answer to be saved.
        (EngineSettings(outage_seconds=0.0, unsaved_answers=1), 0, f"{SCOPE}-of-another"),
    ],
    ids=["same scope", "another scope"],
)
def test_nothing_more_is_paid_after_a_long_outage_of_the_lake(
    chat: "ChatSetup", settings: EngineSettings, wait: float, second_scope: str
) -> None:
    lake = RemoteLake(chat.folder, unreachable_until=float("inf"))
    first, second = chat.calls(2)

    async def work() -> None:
        async with chat.engine(store=lake, settings=settings) as engine:
            await engine.complete(first, scope=SCOPE)
            await asyncio.sleep(wait)
            await engine.complete(second, scope=second_scope)

    with pytest.raises(StoreUnreachable):
        chat.hurry(work())
    assert len(chat.endpoint.chats) == 1


@pytest.mark.parametrize(("unsaved_answers", "wait", "paid"), [(3, 0, 3), (10_000, 10, 6)])
def test_a_minute_without_the_lake_loses_no_answer_and_only_so_many_are_paid_for_meanwhile(
    chat: "ChatSetup", unsaved_answers: int, wait: float, paid: int
) -> None:
    answered: list[int] = []

    class CountingLake(RemoteLake):
        def put(self, path: str, data: bytes) -> None:
            super().put(path, data)
            answered.append(len(chat.endpoint.chats))

    lake = CountingLake(chat.folder)

    async def work() -> None:
        lake.fail_for(60)
        async with chat.engine(store=lake, settings=EngineSettings(unsaved_answers=unsaved_answers)) as engine:
            for call in chat.calls(12):
                await engine.complete(call, scope=SCOPE)
                await asyncio.sleep(wait)

    chat.hurry(work())
    assert answered[0] in (paid, paid + 1 if wait else paid)
    assert chat.paid_again(*chat.calls(12), store=RemoteLake(chat.folder)) == (12, 0)


ASKS_UNTIL_KILLED = """
async def main():
    async with ChatEngine(profile, store) as engine:
        await ask(engine, 0, 1, 2, 3, 4)
    async with ChatEngine(profile, store, settings=EngineSettings(segment_seconds=3600)) as engine:
        await ask(engine, 5, 6, 7)
        await ask(engine, 8, 9)

asyncio.run(main())
"""


def test_sigkill_on_s3_costs_what_was_in_flight_and_the_open_segment(chat: "ChatSetup", s3_root: str) -> None:
    profile = chat.profile()
    chat.endpoint.script(*["42"] * 8, FakeEndpoint.hangs(), FakeEndpoint.hangs())
    with chat.start(ASKS_UNTIL_KILLED, profile, s3_root) as process:
        chat.endpoint.wait_for(10, seconds=60)
        process.kill()
    # Lost: three of the open segment, two in flight.
    assert chat.paid_again(*chat.calls(10), profile=profile, store=open_store(s3_root)) == (5, 5)


@pytest.mark.parametrize(
    ("change", "replayed"),
    [
        (lambda record: record | {"later_field": 1}, True),
        (lambda record: record | {"reasoning": None}, True),
        (lambda record: {"text": record["text"]}, False),
    ],
    ids=["one more field", "an empty field", "fields are missing"],
)
def test_a_record_of_another_version_is_read_if_it_has_what_is_needed(
    chat: "ChatSetup", change: Callable[[dict[str, Any]], dict[str, Any]], replayed: bool
) -> None:
    chat.ask_one()
    path = chat.folder / chat.journal_file().path
    (record,) = decode_file(path.name, path.read_bytes())
    assert record is not None
    path.write_bytes(encode_line(record[0], json.dumps(change(json.loads(record[1]))).encode()))
    journal = ScopeJournal(LocalStore(chat.folder), SCOPE)
    journal.load()
    assert len(journal) == 1
    assert chat.ask_one().replayed == replayed
    assert chat.ask_one().replayed


# ---- the machine


def test_a_clock_that_jumps_changes_no_wait_and_no_deadline(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = itertools.cycle([0.0, 7200.0, -7200.0])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + next(jumps))
    chat.endpoint.script(*[fails(429, headers={"Retry-After": "1"}), fails(500)] * 4)
    engine = chat.engine(chat.profile(retry_deadline_seconds=60), retries=DEFAULT_RETRIES)
    answers = chat.hurry(chat.answers(engine, *chat.calls(12)))
    assert texts(answers) == ["A complete answer to: What is 6 x 7?"] * 12


FEW_DESCRIPTORS = """
async def main():
    async with ChatEngine(profile, store) as engine:
        await ask(engine, *range(300))

resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
asyncio.run(main())
"""


def test_more_calls_than_connections_may_be_open_are_all_answered(chat: "ChatSetup") -> None:
    chat.endpoint.answer_with(lambda request: says("42", delay=0.05))
    process = chat.start(FEW_DESCRIPTORS, chat.profile(max_concurrency=300))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "they are cut to" in errors
    assert len(chat.endpoint.chats) == 300
    assert chat.endpoint.most_in_flight <= 40


# ---- other processes of this machine

SHARES_THE_ENDPOINT = """
async def main():
    async with ChatEngine(profile, store) as engine:
        await ask(engine, *range(15))

asyncio.run(main())
"""


@pytest.fixture
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("runtime_directory")
def test_processes_of_one_machine_keep_to_the_cap_together(chat: "ChatSetup") -> None:
    chat.endpoint.answer_with(lambda request: says("42", delay=0.05))
    profile = chat.profile(max_concurrency=6)
    processes = [chat.start(SHARES_THE_ENDPOINT, profile, prefix=f"{number}-") for number in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len(chat.endpoint.chats) == 45
    assert chat.endpoint.most_in_flight <= 6


@pytest.mark.usefixtures("runtime_directory")
def test_nothing_is_asked_before_there_is_a_share(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> None:
    divide, asked = EndpointShare.divide, list[int]()

    def busy_at_first(share: EndpointShare, in_flight: int) -> int | None:
        asked.append(len(chat.endpoint.chats))
        return divide(share, in_flight) if len(asked) > 5 else None

    monkeypatch.setattr(EndpointShare, "divide", busy_at_first)
    chat.ask(*chat.calls(12), engine=chat.engine(settings=EngineSettings(sharing_seconds=0.01)))
    assert asked[:6] == [0] * 6
    assert len(chat.endpoint.chats) == 12


def test_without_a_runtime_folder_the_caps_hold_for_the_process_alone_and_that_is_reported_once(
    chat: "ChatSetup", runtime_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (runtime_directory / "master-dagster").write_text("in the way")

    async def work(engine: ChatEngine) -> None:
        async with engine:
            for call in chat.calls(2):
                await engine.complete(call, scope=SCOPE)
                await asyncio.sleep(0.05)

    asyncio.run(work(chat.engine(settings=EngineSettings(sharing_seconds=0.01))))
    assert len(chat.endpoint.chats) == 2
    assert caplog.text.count("its caps hold for this process alone") == 1
