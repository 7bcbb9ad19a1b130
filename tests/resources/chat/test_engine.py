"""The engine: what is asked, kept, retried, counted and stopped."""

import asyncio
import logging
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.budget import Budget, Spending
from resources.chat.calls import BudgetSpent, Call, CallFailed, Completion, EndpointUnusable, Usage
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile, Role
from resources.chat.retries import RetryPolicy
from resources.lake.opening import open_store
from resources.lake.store import LocalStore

if TYPE_CHECKING:
    from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest

MakeProfile = Callable[..., Profile]
MakeEngine = Callable[..., ChatEngine]
MakeCall = Callable[..., Call]
SCOPE = "scenario_dialogues/debate|demo-0000"
SCHEMA = {"type": "object", "properties": {"correct": {"type": "boolean"}}}


def ask_all(engine: ChatEngine, *calls: Call, scope: str = SCOPE) -> list[Completion]:
    """The completions of all calls, asked at once."""

    async def work() -> list[Completion]:
        async with engine:
            return list(await asyncio.gather(*(engine.complete(call, scope=scope) for call in calls)))

    return asyncio.run(work())


def ask(engine: ChatEngine, call: Call) -> Completion:
    return ask_all(engine, call)[0]


# ---- what is asked


def test_the_roles_model_and_sampling_are_sent(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    ask(make_engine(make_profile(role={"top_p": 0.9, "seed": 3})), make_call("Why?", system="You teach."))
    assert fake_endpoint.chats[0].body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "You teach."}, {"role": "user", "content": "Why?"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 64,
        "seed": 3,
    }


def test_the_key_comes_from_the_named_variable(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    make_call: MakeCall,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    ask(make_engine(make_profile(api_key_env="SOME_KEY")), make_call())
    assert fake_endpoint.chats[0].headers["authorization"] == "Bearer sk-secret"


def test_a_proxy_is_not_asked_for_this_machines_own_server(
    make_engine: MakeEngine, make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ask(make_engine(), make_call()).text


# ---- what comes back


def test_a_completion_comes_back_with_what_it_took(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.says("<think>6 x 7</think>42", prompt_tokens=11, completion_tokens=3))
    assert ask(make_engine(), make_call()) == Completion("42", "6 x 7", "stop", 11, 3, replayed=False)


def test_a_cut_off_answer_is_returned_not_raised(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.says("and then", finish_reason="length"))
    assert ask(make_engine(), make_call()).finish_reason == "length"


# ---- the journal


def test_what_was_answered_is_not_asked_again(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    first = ask(make_engine(), make_call())
    engine = make_engine()
    assert ask(engine, make_call()) == replace(first, replayed=True)
    assert (len(fake_endpoint.chats), engine.total.calls, engine.total.replayed) == (1, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "What is 6 x 8?"},
        {"system": "You teach."},
        {"sample": "d2"},
        {"turn": "4-strong_student"},
        {"regeneration": 1},
        {"json_schema": SCHEMA},
    ],
)
def test_another_call_is_another_answer(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall, change: dict[str, Any]
) -> None:
    ask_all(make_engine(), make_call(), make_call(**change))
    assert len(fake_endpoint.chats) == 2


def test_a_changed_model_or_temperature_is_another_answer(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    for role in ({}, {"temperature": 0.6}, {"model": "small"}, {"max_tokens": 65}):
        ask(make_engine(make_profile(role=role)), make_call())
    assert len(fake_endpoint.chats) == 4


def test_a_changed_address_is_the_same_endpoint(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    ask(make_engine(), make_call())
    elsewhere = make_profile()
    assert ask(make_engine(elsewhere, address_of=lambda name: "http://127.0.0.1:9/v1"), make_call()).replayed


def test_the_same_call_at_the_same_time_is_paid_once(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    answers = ask_all(make_engine(), *[make_call()] * 5)
    assert len(fake_endpoint.chats) == 1
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True, True]


def test_a_cancelled_call_leaves_its_place_to_the_one_that_waits_for_it(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.hangs(), "42")

    async def work() -> str:
        async with make_engine() as engine:
            first = asyncio.create_task(engine.complete(make_call(), scope=SCOPE))
            second = asyncio.create_task(engine.complete(make_call(), scope=SCOPE))
            await asyncio.to_thread(fake_endpoint.wait_for, 1)
            first.cancel()
            return (await second).text

    assert asyncio.run(work()) == "42"


def test_a_damaged_record_is_paid_again_and_mentioned(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_call: MakeCall,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask_all(make_engine(), make_call(sample="d1"), make_call(sample="d2"))
    (file,) = LocalStore(tmp_path).list("_journal")
    path = tmp_path / file.path
    path.write_bytes(path.read_bytes()[:-3])
    with caplog.at_level(logging.WARNING):
        answers = ask_all(make_engine(), make_call(sample="d1"), make_call(sample="d2"))
    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert "1 damaged journal records were skipped" in caplog.text


def test_the_journal_holds_no_key_and_no_address(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    make_call: MakeCall,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    fake_endpoint.script("You sent sk-secret.")
    ask(make_engine(make_profile(api_key_env="SOME_KEY")), make_call())
    (file,) = LocalStore(tmp_path).list("_journal")
    kept = (tmp_path / file.path).read_bytes()
    assert b"You sent [key]." in kept
    assert b"sk-secret" not in kept
    assert b"127.0.0.1" not in kept


def test_journals_of_scopes_no_longer_in_use_are_let_go_and_found_again(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    async def work() -> list[bool]:
        async with make_engine() as engine:
            for number in range(12):
                await engine.complete(make_call(), scope=f"scenario_dialogues/debate|demo-{number:04}")
            return [
                (await engine.complete(make_call(), scope=f"scenario_dialogues/debate|demo-{number:04}")).replayed
                for number in range(12)
            ]

    assert all(asyncio.run(work()))
    assert len(fake_endpoint.chats) == 12


# ---- errors


def test_a_busy_endpoint_costs_no_attempts(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    busy = [
        fake_endpoint.fails(429, headers={"Retry-After": "0"}),
        fake_endpoint.fails(503, headers={"Retry-After": "0"}),
    ]
    fake_endpoint.script(*busy * 10, "42")
    engine = make_engine()
    assert ask(engine, make_call()).text == "42"
    assert (engine.total.throttled, engine.total.retries) == (20, 20)


def test_a_busy_endpoint_that_names_no_time_is_asked_again(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.answer_with(lambda request: "42" if request.number else fake_endpoint.fails(429))

    async def work() -> list[Completion]:
        async with make_engine() as engine:
            # Another call in flight keeps the limiter from pausing for a time of its own.
            fake_endpoint.script(fake_endpoint.says("first", delay=0.05), fake_endpoint.fails(429))
            calls = [engine.complete(make_call(sample=name), scope=SCOPE) for name in ("d1", "d2")]
            return list(await asyncio.gather(*calls))

    assert [answer.text for answer in asyncio.run(work())] == ["first", "42"]


@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {"Retry-After": "Wed, 01 Jan 2081 00:00:00 GMT"}])
def test_a_wait_beyond_the_deadline_sets_the_dialogue_aside_at_once(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    make_call: MakeCall,
    headers: dict[str, str],
) -> None:
    fake_endpoint.script(fake_endpoint.fails(429, "come back later", headers=headers))
    with pytest.raises(CallFailed, match=r"throttled: endpoint 'fake' .* 5 s: HTTP 429: come back later"):
        ask(make_engine(make_profile(retry_deadline_seconds=5)), make_call())


def test_passing_faults_are_tried_again(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.script(
        fake_endpoint.fails(500),
        fake_endpoint.resets(),
        fake_endpoint.breaks_off(),
        fake_endpoint.sends("<html>Welcome</html>", content_type="text/html"),
        fake_endpoint.sends('{"choices": []}'),
        "42",
    )
    engine = make_engine()
    assert ask(engine, make_call()).text == "42"
    assert (engine.total.retries, engine.total.wasted, engine.total.calls) == (5, 2, 1)


def failures() -> list[tuple[str, str, str]]:
    return [
        ("fails", "server_error", "HTTP 500: a fault"),
        ("sends", "malformed_body", "<html>"),
        ("resets", "connection_lost", "the connection broke off"),
    ]


@pytest.mark.parametrize(("fault", "reason", "shown"), failures())
def test_a_fault_that_stays_sets_the_dialogue_aside_after_six_attempts(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_call: MakeCall,
    fault: str,
    reason: str,
    shown: str,
) -> None:
    faults: dict[str, Answer] = {
        "fails": fake_endpoint.fails(500),
        "sends": fake_endpoint.sends("<html>Welcome</html>", content_type="text/html"),
        "resets": fake_endpoint.resets(),
    }

    def rule(request: "SeenRequest") -> "Answer | str":
        return "fine" if request.last == "first" else faults[fault]

    fake_endpoint.answer_with(rule)

    async def work() -> None:
        async with make_engine() as engine:
            await engine.complete(make_call("first"), scope=SCOPE)
            await engine.complete(make_call(), scope=SCOPE)

    with pytest.raises(CallFailed) as caught:
        asyncio.run(work())
    assert caught.value.reason == reason
    assert "endpoint 'fake', 6 attempts" in caught.value.detail
    assert shown in caught.value.detail
    assert len(fake_endpoint.chats) == 7


def test_a_slow_answer_is_a_passing_fault(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.hangs())
    engine = make_engine(make_profile(timeout_seconds=0.3))
    assert ask(engine, make_call()).text
    assert engine.total.retries >= 1


@pytest.mark.parametrize(
    ("status", "message", "code", "reason"),
    [
        (400, "This model's maximum context length is 2048 tokens", "context_length_exceeded", "context_overflow"),
        (400, "The prompt was filtered", "content_filter", "content_filter"),
        (422, "unknown field", None, "bad_request"),
    ],
)
def test_a_call_that_can_never_succeed_is_set_aside_at_once(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_call: MakeCall,
    status: int,
    message: str,
    code: str | None,
    reason: str,
) -> None:
    fake_endpoint.script(fake_endpoint.fails(status, message, code=code))
    with pytest.raises(CallFailed, match=message) as caught:
        ask(make_engine(), make_call())
    assert (caught.value.reason, len(fake_endpoint.chats)) == (reason, 1)


def test_a_wrong_key_stops_the_run_with_what_to_do_and_without_the_key(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    make_call: MakeCall,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    fake_endpoint.script(fake_endpoint.fails(401, "Incorrect API key provided: sk-secret"))
    with pytest.raises(EndpointUnusable) as caught:
        ask(make_engine(make_profile(api_key_env="SOME_KEY")), make_call())
    message = str(caught.value)
    for part in ("'fake'", "127.0.0.1", "'tiny'", "SOME_KEY", "Incorrect API key provided: [key]"):
        assert part in message
    assert "sk-secret" not in message


def test_an_unknown_model_stops_the_run_with_what_to_do(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.fails(404, "The model `tiny` does not exist", code="model_not_found"))
    with pytest.raises(EndpointUnusable, match=r"model 'tiny' \(unknown_model\).*check roles\.strong_student\.model"):
        ask(make_engine(), make_call())


def test_a_redirect_is_not_followed_with_the_key(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    away = replace(fake_endpoint.fails(307), headers={"Location": "http://127.0.0.1:9/v1?token=t"})
    fake_endpoint.script(away)
    with pytest.raises(EndpointUnusable, match=r"redirected.*to http://127\.0\.0\.1:9/v1\. What to do.*base_url"):
        ask(make_engine(), make_call())


def test_an_endpoint_that_was_never_reached_stops_the_run(make_engine: MakeEngine, make_call: MakeCall) -> None:
    engine = make_engine(address_of=lambda name: "http://127.0.0.1:9/v1")
    with pytest.raises(
        EndpointUnusable, match=r"'fake' at http://127\.0\.0\.1:9/v1 .*unreachable.*start it, or correct"
    ):
        ask(engine, make_call())


def test_after_a_wrong_key_no_other_call_is_sent(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    fake_endpoint.answer_with(lambda request: fake_endpoint.fails(401))
    engine = make_engine(make_profile(max_concurrency=1))

    async def work() -> list[BaseException | Completion]:
        async with engine:
            calls = [engine.complete(make_call(sample=f"d{number}"), scope=SCOPE) for number in range(5)]
            return list(await asyncio.gather(*calls, return_exceptions=True))

    assert {type(result) for result in asyncio.run(work())} == {EndpointUnusable}
    assert len(fake_endpoint.chats) == 1


# ---- limits and budgets


def test_no_more_calls_are_in_flight_than_the_profile_allows(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    fake_endpoint.answer_with(lambda request: fake_endpoint.says("42", delay=0.01))
    ask_all(make_engine(make_profile(max_concurrency=3)), *(make_call(sample=f"d{n}") for n in range(12)))
    assert fake_endpoint.most_in_flight == 3


def test_a_call_that_waits_to_be_retried_gives_up_its_slot(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.fails(500), "second", "first")
    retries = RetryPolicy(first_wait=0.1)
    answers = ask_all(
        make_engine(make_profile(max_concurrency=1), retries=retries), make_call(sample="d1"), make_call(sample="d2")
    )
    assert [answer.text for answer in answers] == ["first", "second"]


def test_calls_are_cut_to_what_the_process_may_open(
    make_engine: MakeEngine, make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 4096))
    assert make_engine(make_profile(max_concurrency=1000)).target_concurrency < 256 - 64


def test_appetite_is_somewhat_more_than_the_slots(make_engine: MakeEngine, make_profile: MakeProfile) -> None:
    assert make_engine(make_profile(max_concurrency=100)).target_concurrency == 120


@pytest.mark.parametrize("budget", [Budget(tokens=40), Budget(cost=0.00004)])
def test_a_spent_budget_stops_and_keeps_what_is_paid(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    make_call: MakeCall,
    budget: Budget,
) -> None:
    profile = make_profile(prices={"tiny": {"prompt": 1.0, "completion": 1.0}})

    async def work(engine: ChatEngine) -> None:
        async with engine:
            for number in range(10):
                await engine.complete(make_call(sample=f"d{number}"), scope=SCOPE)

    with pytest.raises(BudgetSpent, match="what was answered is kept"):
        asyncio.run(work(make_engine(profile, budget=budget)))
    assert len(fake_endpoint.chats) == 3  # 15 tokens each: the third passes 40
    again = make_engine(profile)
    asyncio.run(work(again))
    assert (again.total.replayed, again.total.calls) == (3, 7)


def test_a_spent_budget_is_told_only_when_the_calls_in_flight_are_kept(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.says("quick", delay=0.1), fake_endpoint.says("slow", delay=0.3))
    engine = make_engine(budget=Budget(tokens=1))

    async def dialogue(name: str) -> None:
        for turn in ("1", "2"):
            await engine.complete(make_call(sample=name, turn=turn), scope=SCOPE)

    async def work() -> None:
        async with engine, asyncio.TaskGroup() as tasks:
            tasks.create_task(dialogue("quick"))
            tasks.create_task(dialogue("slow"))

    with pytest.raises(ExceptionGroup):
        asyncio.run(work())
    assert engine.total.calls == 2


def test_a_budget_holds_over_all_engines_of_a_run(
    make_engine: MakeEngine, make_call: MakeCall, fake_endpoint: "FakeEndpoint"
) -> None:
    spent = Spending()
    ask(make_engine(budget=Budget(tokens=15), spending=spent), make_call(sample="d1"))
    with pytest.raises(BudgetSpent, match=r"the run's budget of 15 tokens is spent \(15\)"):
        ask(make_engine(budget=Budget(tokens=15), spending=spent), make_call(sample="d2"))
    assert len(fake_endpoint.chats) == 1


def test_what_a_wasted_body_took_is_spent_and_told(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    fake_endpoint.script(fake_endpoint.says(None, prompt_tokens=100, completion_tokens=50), "42")
    spent = Spending()
    engine = make_engine(make_profile(prices={"tiny": {"prompt": 1.0, "completion": 2.0}}), spending=spent)
    ask(engine, make_call())
    assert (engine.total.wasted, engine.total.prompt_tokens, engine.total.completion_tokens) == (1, 110, 55)
    assert spent.tokens == 165
    assert spent.cost == pytest.approx(220e-6)


def test_replays_do_not_spend_the_budget(make_engine: MakeEngine, make_call: MakeCall) -> None:
    ask(make_engine(), make_call())
    assert ask(make_engine(budget=Budget(tokens=0)), make_call()).replayed


def test_usage_is_summed_by_scope_and_in_all(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    engine = make_engine(make_profile(prices={"tiny": {"prompt": 1.0, "completion": 2.0}}))

    async def work() -> None:
        async with engine:
            for scope in ("a|1", "a|1", "a|2"):
                await engine.complete(make_call(), scope=scope)

    asyncio.run(work())
    one = engine.usage("a|1")
    assert (one.calls, one.replayed, one.prompt_tokens, one.completion_tokens) == (1, 1, 10, 5)
    assert one.cost == pytest.approx(20e-6)
    assert (engine.total.calls, len(engine.total.latencies)) == (2, 2)


def test_a_scope_whose_usage_was_taken_leaves_nothing_in_the_engine(
    make_engine: MakeEngine, make_call: MakeCall
) -> None:
    engine = make_engine()
    ask(engine, make_call())
    assert (engine.take_usage(SCOPE).calls, engine.usage(SCOPE).calls) == (1, 0)
    assert engine.total.calls == 1


def test_the_usage_of_a_scope_that_was_never_called_is_nothing(make_engine: MakeEngine) -> None:
    assert make_engine().take_usage(SCOPE) == Usage()


# ---- the end


def test_cancelling_ends_the_calls_in_flight_and_keeps_the_journal(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_call: MakeCall
) -> None:
    fake_endpoint.script("42", fake_endpoint.hangs(), fake_endpoint.hangs())

    async def work(engine: ChatEngine) -> None:
        async with engine:
            await engine.complete(make_call(sample="d0"), scope=SCOPE)
            calls = [engine.complete(make_call(sample=name), scope=SCOPE) for name in ("d1", "d2")]
            await asyncio.gather(*calls)

    async def cancelled() -> None:
        task = asyncio.create_task(work(make_engine()))
        await asyncio.to_thread(fake_endpoint.wait_for, 3)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert ask(make_engine(), make_call(sample="d0")).replayed


KILLED_IN_THE_MIDDLE = """
import asyncio, os, signal, sys
from pathlib import Path
from resources.chat.calls import Call, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile, Role
from resources.lake.opening import open_store
from resources.lake.store import LocalStore

async def main():
    async with ChatEngine(Profile.model_validate_json(sys.argv[1]), LocalStore(Path(sys.argv[2]))) as engine:
        for number in range(3):
            question = (Message("user", "What is 6 x 7?"),)
            call = Call(Role.STRONG_STUDENT, question, f"d{number}", "2-strong_student")
            await engine.complete(call, scope=sys.argv[3])
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_was_answered_outlives_sigkill(
    fake_endpoint: "FakeEndpoint",
    make_engine: MakeEngine,
    make_profile: MakeProfile,
    make_call: MakeCall,
    tmp_path: Path,
) -> None:
    profile = make_profile()
    command = [sys.executable, "-c", KILLED_IN_THE_MIDDLE, profile.model_dump_json(), str(tmp_path), SCOPE]
    killed = subprocess.run(command, cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -signal.SIGKILL
    again = make_engine(profile)
    ask_all(again, *(make_call(sample=f"d{number}") for number in range(4)))
    assert (again.total.replayed, again.total.calls) == (3, 1)


def test_nothing_is_left_running(make_engine: MakeEngine, make_call: MakeCall) -> None:
    async def work() -> int:
        async with make_engine() as engine:
            await engine.complete(make_call(), scope=SCOPE)
        return len(asyncio.all_tasks())

    assert asyncio.run(work()) == 1


def test_on_s3_everything_is_kept_when_the_engine_ends(
    make_profile: MakeProfile, make_call: MakeCall, s3_root: str
) -> None:
    calls = [make_call(sample=f"d{number}") for number in range(5)]
    ask_all(ChatEngine(make_profile(), open_store(s3_root)), *calls)
    engine = ChatEngine(make_profile(), open_store(s3_root))
    ask_all(engine, *calls)
    assert engine.total.replayed == 5
    assert len(open_store(s3_root).list("_journal")) == 1


def test_the_roles_are_cast_by_the_profile(
    fake_endpoint: "FakeEndpoint", make_engine: MakeEngine, make_profile: MakeProfile, make_call: MakeCall
) -> None:
    profile = make_profile()
    roles = {**profile.roles, Role.JUDGE: profile.roles[Role.JUDGE].model_copy(update={"model": "large"})}
    ask(make_engine(profile.model_copy(update={"roles": roles})), make_call(role=Role.JUDGE))
    assert fake_endpoint.chats[0].model == "large"
