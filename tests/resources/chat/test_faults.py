"""Bad luck: what is lost when the endpoint, the disk, the lake or the machine's clock fail, and what is not."""

import asyncio
import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import resources.chat.journal
from resources.chat.calls import Call, CallFailed, Completion, EndpointUnusable
from resources.chat.engine import ChatEngine
from resources.chat.journal import ScopeJournal, file_header
from resources.chat.leases import EndpointShare, Share
from resources.chat.profile import Profile
from resources.chat.retries import RetryPolicy
from resources.lake.opening import open_store
from resources.lake.store import LocalStore, StoreUnreachable
from tests.fake_endpoint import FakeEndpoint

if TYPE_CHECKING:
    from tests.fake_endpoint import Answer, SeenRequest

MakeProfile = Callable[..., Profile]
MakeEngine = Callable[..., ChatEngine]
MakeCall = Callable[..., Call]
Hurry = Callable[[Coroutine[Any, Any, Any]], Any]
SCOPE = "scenario_dialogues/debate|demo-0000"
PROJECT = Path(__file__).parents[3]
AS_USUAL = RetryPolicy()


async def ask_all(engine: ChatEngine, calls: list[Call]) -> list[Completion | BaseException]:
    async with engine:
        return await asyncio.gather(*(engine.complete(call, scope=SCOPE) for call in calls), return_exceptions=True)


@pytest.fixture
def calls(make_call: MakeCall) -> list[Call]:
    return [make_call(sample=f"d{number}") for number in range(12)]


def texts(answers: list[Completion | BaseException]) -> list[str]:
    return [answer.text if isinstance(answer, Completion) else repr(answer) for answer in answers]


class SilentStore(LocalStore):
    """A store without a disk of its own, as S3 is, which does not answer writes until it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may = threading.Event()

    def local_path(self, path: str) -> None:
        return None

    def put(self, path: str, data: bytes) -> None:
        self.may.wait(10)
        super().put(path, data)


def test_an_interrupted_run_waits_only_so_long_for_a_lake_that_does_not_answer(
    make_profile: MakeProfile,
    calls: list[Call],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("resources.chat.engine.LAST_SECONDS", 0.05)
    store = SilentStore(tmp_path)

    async def work() -> None:
        async with ChatEngine(make_profile(), store) as engine:
            await engine.complete(calls[0], scope=SCOPE)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert not store.list("_journal")
    assert "up to 1 answers could not be kept" in caplog.text
    store.may.set()


# ---- the endpoint


class Outage:
    """An endpoint that resets every connection from one second to another, on the engine's own clock."""

    def __init__(self, endpoint: FakeEndpoint, begins: float, seconds: float) -> None:
        self.endpoint, self.begins, self.seconds = endpoint, begins, seconds
        self.clock: Callable[[], float] = time.monotonic
        self.started = 0.0

    def start(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.started = self.clock()

    def rule(self, request: "SeenRequest") -> "Answer | str":
        passed = self.clock() - self.started
        return self.endpoint.resets() if self.begins <= passed < self.begins + self.seconds else "42"


@pytest.mark.parametrize("begins", [0, 1])
def test_half_a_minute_without_the_endpoint_loses_no_dialogue(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, calls: list[Call], hurry: Hurry, begins: float
) -> None:
    outage = Outage(fake_endpoint, begins, 30)
    fake_endpoint.answer_with(outage.rule)

    async def work() -> list[Completion | BaseException]:
        outage.start()
        async with make_engine(retries=RetryPolicy(jitter=0)) as engine:
            answers: list[Completion | BaseException] = []
            for some in (calls[:6], calls[6:]):
                answers += await asyncio.gather(
                    *(engine.complete(call, scope=SCOPE) for call in some), return_exceptions=True
                )
                await asyncio.sleep(2)
            return answers

    assert texts(hurry(work())) == ["42"] * len(calls)


def test_an_endpoint_that_is_gone_for_good_stops_the_run_and_keeps_what_is_paid(
    make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall, hurry: Hurry
) -> None:
    theirs = FakeEndpoint()
    theirs.start()
    profile = make_profile(base_url=theirs.base_url)

    async def work() -> None:
        async with make_engine(profile, retries=AS_USUAL) as engine:
            await engine.complete(make_call(sample="d1"), scope=SCOPE)
            theirs.stop()
            await engine.complete(make_call(sample="d2"), scope=SCOPE)

    with pytest.raises(EndpointUnusable, match=r"unreachable.*start it, or correct"):
        hurry(work())
    again = make_engine()
    asyncio.run(ask_all(again, [make_call(sample="d1"), make_call(sample="d2")]))
    assert (again.total.replayed, again.total.calls) == (1, 1)


def test_an_answer_that_drips_is_a_time_out(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.drips("slow", seconds=0.05))
    engine = make_engine(make_profile(timeout_seconds=0.3))
    assert not isinstance(asyncio.run(ask_all(engine, [make_call()]))[0], BaseException)
    assert engine.total.retries >= 1


def test_a_minute_of_refusals_that_name_no_time_is_waited_out(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, calls: list[Call], hurry: Hurry
) -> None:
    outage = Outage(fake_endpoint, 0, 60)
    fake_endpoint.answer_with(
        lambda request: fake_endpoint.fails(429) if not isinstance(outage.rule(request), str) else "42"
    )

    async def work() -> list[Completion | BaseException]:
        outage.start()
        return await ask_all(make_engine(retries=AS_USUAL), calls)

    assert texts(hurry(work())) == ["42"] * len(calls)
    assert len(fake_endpoint.chats) < 20 * len(calls)


def test_a_key_revoked_in_the_middle_stops_the_run_and_keeps_what_is_paid(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    profile = make_profile(api_key_env="SOME_KEY", max_concurrency=1)
    fake_endpoint.script(*["42"] * 5, fake_endpoint.fails(401, "this key was revoked"))
    answers = asyncio.run(ask_all(make_engine(profile), calls))
    stopped = [answer for answer in answers if isinstance(answer, EndpointUnusable)]
    assert len(stopped) == len(calls) - 5
    assert "this key was revoked" in str(stopped[0])
    again = make_engine(profile)
    asyncio.run(ask_all(again, calls))
    assert (again.total.replayed, again.total.calls) == (5, len(calls) - 5)


def test_a_poison_call_costs_its_own_dialogue_only(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall, calls: list[Call]
) -> None:
    fake_endpoint.answer_with(lambda request: fake_endpoint.fails(500) if request.last == "poison" else "42")
    answers = asyncio.run(ask_all(make_engine(), [*calls, make_call("poison", sample="bad")]))
    assert texts(answers[:-1]) == ["42"] * len(calls)
    assert isinstance(answers[-1], CallFailed)


# ---- the disk and the lake

FILLS_THE_DISK = """
import asyncio, resource, sys
from pathlib import Path
from resources.chat.calls import Call, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile, Role
from resources.lake.store import LocalStore

async def main():
    async with ChatEngine(Profile.model_validate_json(sys.argv[1]), LocalStore(Path(sys.argv[2]))) as engine:
        for number in range(12):
            call = Call(Role.STRONG_STUDENT, (Message("user", "What is 6 x 7?"),), f"d{number}", "2-strong_student")
            await engine.complete(call, scope=sys.argv[3])

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
asyncio.run(main())
"""


def test_a_full_disk_stops_the_run_and_keeps_every_answer_that_was_used(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    calls: list[Call],
    tmp_path: Path,
) -> None:
    profile = make_profile()
    command = [sys.executable, "-c", FILLS_THE_DISK, profile.model_dump_json(), str(tmp_path), SCOPE]
    ended = subprocess.run(command, cwd=PROJECT, check=False, text=True, stderr=subprocess.PIPE)
    assert "cannot write the journal" in ended.stderr
    assert "make room or make it writable and run the same command again" in ended.stderr
    paid = len(fake_endpoint.chats)
    again = make_engine(profile)
    asyncio.run(ask_all(again, calls))
    assert again.total.replayed == paid - 1  # all but the one that did not fit
    assert 0 < paid < len(calls)


class RemoteLake(LocalStore):
    """A lake elsewhere, which cannot be written from one second to another."""

    down_until = 0.0

    def local_path(self, path: str) -> None:
        return None

    def put(self, path: str, data: bytes) -> None:
        if self.clock() < self.down_until:
            raise StoreUnreachable("the lake cannot be reached")
        super().put(path, data)

    clock: Callable[[], float] = staticmethod(time.monotonic)


def test_a_minute_without_the_lake_loses_no_answer(
    make_profile: MakeProfile, make_call: MakeCall, calls: list[Call], tmp_path: Path, hurry: Hurry
) -> None:
    lake = RemoteLake(tmp_path)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        lake.clock = loop.time
        lake.down_until = loop.time() + 60
        async with ChatEngine(make_profile(), lake) as engine:
            for call in calls:
                await engine.complete(call, scope=SCOPE)
                await asyncio.sleep(6)

    hurry(work())
    again = ChatEngine(make_profile(), RemoteLake(tmp_path))
    asyncio.run(ask_all(again, calls))
    assert (again.total.replayed, again.total.calls) == (len(calls), 0)


def test_the_event_loop_never_waits_for_the_lake(
    make_profile: MakeProfile, calls: list[Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.chat.engine.SEGMENT_SECONDS", 0.01)
    monkeypatch.setattr("resources.chat.journal.OUTAGE_SECONDS", 0.0)
    putting: list[threading.Thread] = []

    class Away(RemoteLake):
        def put(self, path: str, data: bytes) -> None:
            putting.append(threading.current_thread())
            raise StoreUnreachable("the lake cannot be reached")

    async def work() -> None:
        async with ChatEngine(make_profile(), Away(tmp_path)) as engine:
            for number in itertools.count():
                await engine.complete(replace(calls[0], sample=f"{number}"), scope=SCOPE)

    with pytest.raises(StoreUnreachable):
        asyncio.run(work())
    assert putting
    assert threading.main_thread() not in putting


def test_an_answer_that_comes_in_while_its_scope_is_let_go_is_not_put_on_the_event_loop(
    make_profile: MakeProfile, calls: list[Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.chat.engine.OPEN_SCOPES", 0)
    putting: list[threading.Thread] = []
    meanwhile: list[Callable[[], object]] = []

    class Busy(RemoteLake):
        def put(self, path: str, data: bytes) -> None:
            putting.append(threading.current_thread())
            if meanwhile:
                meanwhile.pop()()
            super().put(path, data)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with ChatEngine(make_profile(), Busy(tmp_path)) as engine:

            def answer_another() -> None:
                asyncio.run_coroutine_threadsafe(engine.complete(calls[1], scope=SCOPE), loop).result(10)

            meanwhile.append(answer_another)
            await engine.complete(calls[0], scope=SCOPE)
            await engine.complete(calls[2], scope=f"{SCOPE}-of-another")

    asyncio.run(work())
    assert threading.main_thread() not in putting


def test_nothing_more_is_paid_after_the_lake_was_away_for_long(
    fake_endpoint: "FakeEndpoint",
    make_profile: MakeProfile,
    calls: list[Call],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hurry: Hurry,
) -> None:
    monkeypatch.setattr("resources.chat.journal.OUTAGE_SECONDS", 0.0)
    lake = RemoteLake(tmp_path)
    lake.down_until = float("inf")

    async def work() -> None:
        async with ChatEngine(make_profile(), lake) as engine:
            await engine.complete(calls[0], scope=SCOPE)
            await asyncio.sleep(6)
            await engine.complete(calls[1], scope=SCOPE)

    with pytest.raises(StoreUnreachable):
        hurry(work())
    assert len(fake_endpoint.chats) == 1


class CountingLake(RemoteLake):
    """Notes how many calls had been made when it was back."""

    def __init__(self, root: Path, endpoint: FakeEndpoint) -> None:
        super().__init__(root)
        self.endpoint = endpoint
        self.seen: list[int] = []

    def put(self, path: str, data: bytes) -> None:
        super().put(path, data)
        self.seen.append(len(self.endpoint.chats))


def test_while_the_lake_is_away_only_so_many_answers_are_paid_for(
    fake_endpoint: "FakeEndpoint",
    make_profile: MakeProfile,
    calls: list[Call],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hurry: Hurry,
) -> None:
    monkeypatch.setattr("resources.chat.engine.UNKEPT_ANSWERS", 3)
    lake = CountingLake(tmp_path, fake_endpoint)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        lake.clock = loop.time
        lake.down_until = loop.time() + 60
        async with ChatEngine(make_profile(), lake) as engine:
            for call in calls:
                await engine.complete(call, scope=SCOPE)

    hurry(work())
    assert lake.seen[0] == 3
    assert len(fake_endpoint.chats) == len(calls)


def test_who_waits_for_another_scopes_answers_to_be_kept_is_told_when_they_cannot_be(
    make_profile: MakeProfile, calls: list[Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurry: Hurry
) -> None:
    monkeypatch.setattr("resources.chat.engine.UNKEPT_ANSWERS", 1)
    monkeypatch.setattr("resources.chat.journal.OUTAGE_SECONDS", 0.0)
    lake = RemoteLake(tmp_path)
    lake.down_until = float("inf")

    async def work() -> None:
        async with ChatEngine(make_profile(), lake) as engine:
            await engine.complete(calls[0], scope=SCOPE)
            await engine.complete(calls[1], scope=f"{SCOPE}-of-another")

    with pytest.raises(StoreUnreachable):
        hurry(work())


ASKS_UNTIL_KILLED = """
import asyncio, sys
import resources.chat.engine
from resources.chat.calls import Call, Message
from resources.chat.journal import ScopeJournal
from resources.chat.profile import Profile, Role
from resources.lake.opening import open_store

async def main():
    store = open_store(sys.argv[2])
    resources.chat.engine.SEGMENT_SECONDS = 0.01
    async with resources.chat.engine.ChatEngine(Profile.model_validate_json(sys.argv[1]), store) as engine:
        def ask(*numbers):
            question = (Message("user", "What is 6 x 7?"),)
            calls = [Call(Role.STRONG_STUDENT, question, f"d{number}", "2-strong_student") for number in numbers]
            return asyncio.gather(*(engine.complete(call, scope=sys.argv[3]) for call in calls))

        def kept():
            journal = ScopeJournal(store, sys.argv[3])
            journal.load()
            return len(journal)

        await ask(0, 1, 2, 3, 4)
        while await asyncio.to_thread(kept) < 5:
            pass
        resources.chat.engine.SEGMENT_SECONDS = 3600
        await ask(5, 6, 7)
        await ask(8, 9)

asyncio.run(main())
"""


def test_sigkill_on_s3_costs_what_was_in_flight_and_the_open_segment(
    fake_endpoint: "FakeEndpoint", make_profile: MakeProfile, calls: list[Call], s3_root: str
) -> None:
    profile = make_profile()
    fake_endpoint.script(*["42"] * 8, fake_endpoint.hangs(), fake_endpoint.hangs())
    command = [sys.executable, "-c", ASKS_UNTIL_KILLED, profile.model_dump_json(), s3_root, SCOPE]
    with subprocess.Popen(command, cwd=PROJECT) as process:
        fake_endpoint.wait_for(10, seconds=60)
        process.kill()
    again = ChatEngine(profile, open_store(s3_root))
    asyncio.run(ask_all(again, calls[:10]))
    assert again.total.replayed >= 5
    assert again.total.calls <= 5  # three of the open segment, two in flight


def test_a_journal_of_an_older_format_is_read(
    make_engine: MakeEngine, make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(ask_all(make_engine(), [make_call()]))
    monkeypatch.setattr(resources.chat.journal, "FORMAT_VERSION", 2)
    again = make_engine()
    asyncio.run(ask_all(again, [make_call()]))
    assert again.total.replayed == 1


@pytest.mark.parametrize("change", [{"later_field": 1}, {"reasoning": None}])
def test_a_record_with_fields_of_another_version_is_read(
    make_engine: MakeEngine, make_call: MakeCall, tmp_path: Path, change: dict[str, Any]
) -> None:
    rewrite_records(make_engine, make_call, tmp_path, lambda record: record | change)
    again = make_engine()
    asyncio.run(ask_all(again, [make_call()]))
    assert again.total.replayed == 1


def test_a_record_that_lacks_what_is_needed_is_paid_again(
    make_engine: MakeEngine, make_call: MakeCall, tmp_path: Path
) -> None:
    rewrite_records(make_engine, make_call, tmp_path, lambda record: {"text": record["text"]})
    again = make_engine()
    asyncio.run(ask_all(again, [make_call()]))
    assert again.total.calls == 1


def rewrite_records(
    make_engine: MakeEngine, make_call: MakeCall, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Keep one answer, and then change what the journal says of it."""
    asyncio.run(ask_all(make_engine(), [make_call()]))
    store = LocalStore(folder)
    (file,) = store.list("_journal")
    data = store.get(file.path)
    records = [record for record in resources.chat.journal.decode_records(data) if record]
    changed = [
        resources.chat.journal.encode_record(key, json.dumps(change(json.loads(value))).encode())
        for key, value in records
    ]
    store.put(file.path, b"".join([file_header(), *changed]))
    assert len(ScopeJournal(store, SCOPE)) == 0


# ---- the machine


def test_a_clock_that_jumps_changes_no_wait_and_no_deadline(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
    hurry: Hurry,
) -> None:
    jumps = itertools.cycle([0.0, 7200.0, -7200.0])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + next(jumps))
    refusals = [fake_endpoint.fails(429, headers={"Retry-After": "1"}), fake_endpoint.fails(500)] * 4
    fake_endpoint.script(*refusals)
    profile = make_profile(retry_deadline_seconds=60)
    assert texts(hurry(ask_all(make_engine(profile, retries=AS_USUAL), calls))) == [
        f"A complete answer to: {calls[0].messages[0].content}"
    ] * len(calls)


FEW_DESCRIPTORS = """
import asyncio, resource, sys
from pathlib import Path
from resources.chat.calls import Call, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile, Role
from resources.lake.store import LocalStore

async def main():
    async with ChatEngine(Profile.model_validate_json(sys.argv[1]), LocalStore(Path(sys.argv[2]))) as engine:
        question = (Message("user", "What is 6 x 7?"),)
        calls = [Call(Role.STRONG_STUDENT, question, f"d{number}", "2-strong_student") for number in range(300)]
        await asyncio.gather(*(engine.complete(call, scope=sys.argv[3]) for call in calls))

resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
asyncio.run(main())
"""


def test_more_dialogues_than_connections_may_be_open_are_all_taught(
    fake_endpoint: "FakeEndpoint", make_profile: MakeProfile, tmp_path: Path
) -> None:
    fake_endpoint.answer_with(lambda request: fake_endpoint.says("42", delay=0.05))
    profile = make_profile(max_concurrency=300)
    command = [sys.executable, "-c", FEW_DESCRIPTORS, profile.model_dump_json(), str(tmp_path), SCOPE]
    ended = subprocess.run(command, cwd=PROJECT, check=False, text=True, stderr=subprocess.PIPE)
    assert ended.returncode == 0, ended.stderr
    assert "they are cut to" in ended.stderr
    assert len(fake_endpoint.chats) == 300
    assert fake_endpoint.most_in_flight <= 40


SHARES_THE_ENDPOINT = """
import asyncio, sys
from pathlib import Path
from resources.chat.calls import Call, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile, Role
from resources.lake.store import LocalStore

async def main():
    async with ChatEngine(Profile.model_validate_json(sys.argv[1]), LocalStore(Path(sys.argv[2]))) as engine:
        question = (Message("user", "What is 6 x 7?"),)
        calls = [Call(Role.STRONG_STUDENT, question, f"{sys.argv[4]}-{n}", "2-strong_student") for n in range(15)]
        await asyncio.gather(*(engine.complete(call, scope=sys.argv[3]) for call in calls))

asyncio.run(main())
"""


def test_processes_of_one_machine_keep_to_the_cap_together(
    fake_endpoint: "FakeEndpoint", make_profile: MakeProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    fake_endpoint.answer_with(lambda request: fake_endpoint.says("42", delay=0.05))
    profile = make_profile(max_concurrency=6)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARES_THE_ENDPOINT, profile.model_dump_json(), str(tmp_path), SCOPE, str(number)],
            cwd=PROJECT,
        )
        for number in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(fake_endpoint.chats) == 45
    assert fake_endpoint.most_in_flight <= 6


def test_nothing_is_asked_before_there_is_a_share(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    calls: list[Call],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    divide, asked = EndpointShare.divide, list[int]()

    def busy_at_first(share: EndpointShare, in_flight: int) -> Share | None:
        asked.append(len(fake_endpoint.chats))
        return divide(share, in_flight) if len(asked) > 5 else None

    monkeypatch.setattr(EndpointShare, "divide", busy_at_first)
    asyncio.run(ask_all(make_engine(), calls))
    assert asked[:6] == [0] * 6
    assert len(fake_endpoint.chats) == len(calls)


def test_a_share_whose_folder_vanished_is_joined_anew_and_told_once(
    make_engine: MakeEngine,
    calls: list[Call],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("resources.chat.engine.LOOK_SECONDS", 0.01)
    folder = tmp_path / "master-dagster"

    async def work() -> None:
        async with make_engine() as engine:
            await engine.complete(calls[0], scope=SCOPE)
            shutil.rmtree(folder)
            async with asyncio.timeout(30):
                while not list(folder.glob("endpoints/*/*.share")):  # noqa: ASYNC110 - a file tells no event
                    await asyncio.sleep(0.01)
            await engine.complete(calls[1], scope=SCOPE)

    asyncio.run(work())
    assert [record.levelname for record in caplog.records if "share" in record.message] == ["WARNING"]


def test_a_share_that_is_lost_again_and_again_is_done_without(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    calls: list[Call],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def unreadable(share: EndpointShare, in_flight: int) -> Share | None:
        raise ValueError("not enough values to unpack")

    monkeypatch.setattr(EndpointShare, "divide", unreadable)
    asyncio.run(ask_all(make_engine(), calls))
    assert len(fake_endpoint.chats) == len(calls)
    assert [record.message.count("not enough values") for record in caplog.records] == [1, 1]


def test_machines_divide_the_caps_by_their_number(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, calls: list[Call]
) -> None:
    fake_endpoint.answer_with(lambda request: fake_endpoint.says("42", delay=0.01))
    engine = make_engine(make_profile(max_concurrency=9, runs_at_once=3))
    asyncio.run(ask_all(engine, calls))
    assert fake_endpoint.most_in_flight == 3
