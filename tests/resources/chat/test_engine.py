"""The engine: what is asked, kept, retried, counted and stopped."""

import asyncio
import logging
import resource
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.budget import Budget, Spending
from resources.chat.calls import BudgetSpent, CallFailed, Completion, EndpointUnusable, Usage
from resources.chat.retries import RetryPolicy
from resources.chat.settings import EngineSettings
from resources.lake.opening import open_store
from tests.fake_endpoint import FakeEndpoint

if TYPE_CHECKING:
    from tests.fake_endpoint import Answer, SeenRequest
    from tests.resources.chat.conftest import ChatSetup

SCOPE = "scenario_dialogues/debate|demo-0000"
SCHEMA = {"type": "object", "properties": {"correct": {"type": "boolean"}}}
NOWHERE = "http://127.0.0.1:9/v1"
fails, says = FakeEndpoint.fails, FakeEndpoint.says


# ---- requests


def test_the_roles_model_and_sampling_are_sent(chat: "ChatSetup") -> None:
    profile = chat.profile(role={"top_p": 0.9, "seed": 3})
    roles = {**profile.roles, "judge": profile.roles["judge"].model_copy(update={"model": "large"})}
    engine = chat.engine(profile.model_copy(update={"roles": roles}))
    chat.ask_one(engine, chat.call("Why?", system="You teach.", role="judge"))
    assert chat.endpoint.chats[0].body == {
        "model": "large",
        "messages": [{"role": "system", "content": "You teach."}, {"role": "user", "content": "Why?"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 64,
        "seed": 3,
    }


def test_the_key_comes_from_the_named_variable(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    chat.ask_one(chat.engine(chat.profile(api_key_env="SOME_KEY")))
    assert chat.endpoint.chats[0].headers["authorization"] == "Bearer sk-secret"


# ---- completions


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_a_completion_comes_back_with_what_it_took(chat: "ChatSetup", finish_reason: str) -> None:
    thought = "<think>6 x 7</think>42"
    chat.endpoint.script(says(thought, prompt_tokens=11, completion_tokens=3, finish_reason=finish_reason))
    assert chat.ask_one() == Completion("42", "6 x 7", finish_reason, 11, 3, replayed=False)


# ---- the journal


def test_an_answered_call_is_not_sent_again(chat: "ChatSetup") -> None:
    first = chat.ask_one()
    engine = chat.engine(address_of=lambda name: NOWHERE)  # another address is still the same endpoint
    assert chat.ask_one(engine) == replace(first, replayed=True)
    assert (len(chat.endpoint.chats), engine.total.calls, engine.total.replayed) == (1, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "What is 6 x 8?"},
        {"system": "You teach."},
        {"sample": "d2"},
        {"turn": "4-strong_student"},
        {"regeneration": 1},
        {"json_schema": SCHEMA},
        *({"model": change} for change in ({"temperature": 0.6}, {"model": "small"}, {"max_tokens": 65})),
    ],
)
def test_another_call_or_model_is_another_answer(chat: "ChatSetup", change: dict[str, Any]) -> None:
    chat.ask_one()
    engine = chat.engine(chat.profile(role=change.get("model")))
    call = chat.call(**{name: value for name, value in change.items() if name != "model"})
    assert not chat.ask_one(engine, call).replayed


def test_the_same_call_at_the_same_time_is_paid_once(chat: "ChatSetup") -> None:
    answers = chat.ask(*[chat.call()] * 5)
    assert len(chat.endpoint.chats) == 1
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True, True]


def test_a_cancelled_call_is_replaced_by_the_one_that_waits_for_it(chat: "ChatSetup") -> None:
    chat.endpoint.script(FakeEndpoint.hangs(), "42")

    async def work() -> str:
        async with chat.engine() as engine:
            first, second = (asyncio.create_task(engine.complete(chat.call(), scope=SCOPE)) for _ in range(2))
            await asyncio.to_thread(chat.endpoint.wait_for, 1)
            first.cancel()
            return (await second).text

    assert asyncio.run(work()) == "42"


def test_a_torn_line_is_paid_again_and_reported(chat: "ChatSetup", caplog: pytest.LogCaptureFixture) -> None:
    chat.ask(*chat.calls(2))
    path = chat.folder / chat.journal_file().path
    path.write_bytes(path.read_bytes()[:-4])
    with caplog.at_level(logging.WARNING):
        assert chat.paid_again(*chat.calls(2)) == (1, 1)
    assert "1 damaged journal records were skipped" in caplog.text


def test_the_journal_holds_no_key_and_no_address(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    chat.endpoint.script("You sent sk-secret.")
    chat.ask_one(chat.engine(chat.profile(api_key_env="SOME_KEY")))
    kept = (chat.folder / chat.journal_file().path).read_text()
    assert "You sent [key]." in kept
    assert "sk-secret" not in kept
    assert "127.0.0.1" not in kept


def test_journals_of_scopes_no_longer_in_use_are_closed_and_found_again(chat: "ChatSetup") -> None:
    async def work() -> list[bool]:
        async with chat.engine(settings=EngineSettings(open_scopes=2)) as engine:
            scopes = [f"scenario_dialogues/debate|demo-{number:04}" for number in range(6)] * 2
            return [(await engine.complete(chat.call(), scope=scope)).replayed for scope in scopes]

    assert asyncio.run(work()) == [False] * 6 + [True] * 6


# ---- throttling, passing failures, rejected calls


def test_a_busy_endpoint_uses_up_no_attempts(chat: "ChatSetup") -> None:
    busy = [fails(status, headers={"Retry-After": "0"}) for status in (429, 503)]
    chat.endpoint.script(*busy * 10, "42")
    engine = chat.engine()
    assert chat.ask_one(engine).text == "42"
    assert (engine.total.throttled, engine.total.retries) == (20, 20)


def test_a_busy_endpoint_that_names_no_time_is_asked_again(chat: "ChatSetup") -> None:
    # Another call in flight keeps the limiter from pausing for a time of its own.
    chat.endpoint.script(says("first", delay=0.05), fails(429), "42")
    assert [answer.text for answer in chat.ask(*chat.calls(2))] == ["first", "42"]


@pytest.mark.parametrize("retry_after", ["3600", "Wed, 01 Jan 2081 00:00:00 GMT"])
def test_a_wait_beyond_the_deadline_fails_the_call_at_once(chat: "ChatSetup", retry_after: str) -> None:
    chat.endpoint.script(fails(429, "come back later", headers={"Retry-After": retry_after}))
    with pytest.raises(CallFailed, match=r"throttled: endpoint 'fake' .* 5 s: HTTP 429: come back later"):
        chat.ask_one(chat.engine(chat.profile(retry_deadline_seconds=5)))


def test_passing_failures_are_tried_again(chat: "ChatSetup") -> None:
    chat.endpoint.script(
        fails(500),
        FakeEndpoint.resets(),
        FakeEndpoint.breaks_off(),
        FakeEndpoint.sends("<html>Welcome</html>", content_type="text/html"),
        FakeEndpoint.sends('{"choices": []}'),
        "42",
    )
    engine = chat.engine()
    assert chat.ask_one(engine).text == "42"
    assert (engine.total.retries, engine.total.wasted, engine.total.calls) == (5, 2, 1)


@pytest.mark.parametrize(
    ("failure", "reason", "shown"),
    [
        (fails(500), "server_error", "HTTP 500: a fault"),
        (FakeEndpoint.sends("<html>Welcome</html>"), "malformed_body", "<html>"),
        (FakeEndpoint.resets(), "connection_lost", "the connection broke off"),
    ],
    ids=["500", "malformed", "reset"],
)
def test_a_lasting_failure_fails_the_call_after_six_attempts(
    chat: "ChatSetup", failure: "Answer", reason: str, shown: str
) -> None:
    def rule(request: "SeenRequest") -> "Answer | str":
        return "fine" if request.last == "first" else failure

    chat.endpoint.answer_with(rule)
    with pytest.raises(CallFailed) as caught:
        chat.ask_in_turn(chat.call("first"), chat.call())
    assert caught.value.reason == reason
    assert "endpoint 'fake', 6 attempts" in caught.value.detail
    assert shown in caught.value.detail
    assert len(chat.endpoint.chats) == 7


@pytest.mark.parametrize("slow", [FakeEndpoint.hangs(), FakeEndpoint.drips("slow")], ids=["hangs", "drips"])
def test_a_slow_answer_is_a_passing_failure(chat: "ChatSetup", slow: "Answer") -> None:
    chat.endpoint.script(slow)
    engine = chat.engine(chat.profile(timeout_seconds=0.3))
    assert chat.ask_one(engine).text
    assert engine.total.retries >= 1


@pytest.mark.parametrize(
    ("status", "message", "code", "reason"),
    [
        (400, "This model's maximum context length is 2048 tokens", "context_length_exceeded", "context_overflow"),
        (400, "The prompt was filtered", "content_filter", "content_filter"),
        (422, "unknown field", None, "bad_request"),
    ],
)
def test_a_call_that_can_never_succeed_fails_at_once(
    chat: "ChatSetup", status: int, message: str, code: str | None, reason: str
) -> None:
    chat.endpoint.script(fails(status, message, code=code))
    with pytest.raises(CallFailed, match=message) as caught:
        chat.ask_one()
    assert (caught.value.reason, len(chat.endpoint.chats)) == (reason, 1)


def test_a_model_that_refuses_response_format_is_asked_without_it(
    chat: "ChatSetup", caplog: pytest.LogCaptureFixture
) -> None:
    def rule(request: "SeenRequest") -> "Answer | str":
        return fails(400, "This response_format type is unavailable now") if "response_format" in request.body else "{}"

    chat.endpoint.answer_with(rule)
    calls = [replace(call, json_schema=SCHEMA) for call in chat.calls(3)]
    chat.ask_in_turn(*calls)
    assert ["response_format" in request.body for request in chat.endpoint.chats] == [True, False, False, False]
    assert caplog.text.count("refuses `response_format`") == 1
    assert chat.paid_again(*calls) == (3, 0)


def test_a_refusal_is_an_answer_that_is_paid_once(chat: "ChatSetup") -> None:
    chat.endpoint.script(says(None, refusal="I cannot help with that."))
    assert chat.ask_one().finish_reason == "refusal"
    assert chat.ask_one() == Completion("I cannot help with that.", None, "refusal", 10, 5, replayed=True)


# ---- unusable endpoints


def test_a_wrong_key_stops_the_run_with_what_to_do_and_without_the_key(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    chat.endpoint.script(fails(401, "Incorrect API key provided: sk-secret"))
    with pytest.raises(EndpointUnusable) as caught:
        chat.ask_one(chat.engine(chat.profile(api_key_env="SOME_KEY")))
    message = str(caught.value)
    for part in ("'fake'", "127.0.0.1", "'tiny'", "SOME_KEY", "Incorrect API key provided: [key]"):
        assert part in message
    assert "sk-secret" not in message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            fails(404, "The model `tiny` does not exist", code="model_not_found"),
            r"model 'tiny' \(unknown_model\).*check roles\.strong_student\.model",
        ),
        (
            replace(fails(307), headers={"Location": "http://127.0.0.1:9/v1?token=t"}),
            r"redirected.*to http://127\.0\.0\.1:9/v1\. What to do.*base_url",
        ),
        (
            fails(400, "Unsupported parameter: 'max_tokens' is not supported with this model."),
            r"refused_parameter.*change roles\.strong_student.*max_completion_tokens",
        ),
        (
            fails(403, "Country, region, or territory not supported", code="unsupported_country_region_territory"),
            r"region_refused.*does not serve this country",
        ),
        (
            FakeEndpoint.sends('{"error": "Unexpected endpoint or method. (POST /chat/completions)"}'),
            r"unknown_model.*should end in /v1",
        ),
        (None, r"'fake' at http://127\.0\.0\.1:9/v1 .*unreachable.*start it, or correct"),
    ],
    ids=["unknown model", "redirect", "parameter", "region", "no /v1", "never reached"],
)
def test_an_endpoint_that_answers_no_call_stops_the_run_with_what_to_do(
    chat: "ChatSetup", answer: "Answer | None", message: str
) -> None:
    chat.endpoint.script(*([answer] if answer else []))
    with pytest.raises(EndpointUnusable, match=message):
        chat.ask_one(chat.engine(address_of=None if answer else lambda name: NOWHERE))


# ---- limits and budgets


@pytest.mark.parametrize("limits", [{"max_concurrency": 3}, {"max_concurrency": 9, "runs_at_once": 3}])
def test_calls_in_flight_never_exceed_the_profiles_cap_for_this_machine(
    chat: "ChatSetup", limits: dict[str, int]
) -> None:
    chat.endpoint.answer_with(lambda request: says("42", delay=0.01))
    chat.ask(*chat.calls(12), engine=chat.engine(chat.profile(**limits)))
    assert chat.endpoint.most_in_flight == 3


def test_a_call_that_waits_to_be_sent_again_leaves_its_slot(chat: "ChatSetup") -> None:
    chat.endpoint.script(fails(500), "second", "first")
    engine = chat.engine(chat.profile(max_concurrency=1), retries=RetryPolicy(first_wait=0.1))
    assert [answer.text for answer in chat.ask(*chat.calls(2), engine=engine)] == ["first", "second"]


def test_the_target_concurrency_is_a_fifth_above_the_slots_and_below_the_open_files(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chat.engine(chat.profile(max_concurrency=100)).target_concurrency == 120
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 4096))
    assert chat.engine(chat.profile(max_concurrency=1000)).target_concurrency < 256 - 64


@pytest.mark.parametrize("budget", [Budget(tokens=40), Budget(cost=0.00004)])
def test_a_spent_budget_stops_the_run_and_keeps_what_is_paid(chat: "ChatSetup", budget: Budget) -> None:
    profile = chat.profile(prices={"tiny": {"prompt": 1.0, "completion": 1.0}})
    with pytest.raises(BudgetSpent, match="what was answered is kept"):
        chat.ask_in_turn(*chat.calls(10), engine=chat.engine(profile, budget=budget))
    assert len(chat.endpoint.chats) == 3  # 15 tokens each: the third passes 40
    assert chat.paid_again(*chat.calls(10), profile=profile) == (3, 7)


def test_a_spent_budget_is_raised_only_after_calls_in_flight_are_kept(chat: "ChatSetup") -> None:
    chat.endpoint.script(says("quick", delay=0.1), says("slow", delay=0.3))
    engine = chat.engine(budget=Budget(tokens=1))

    async def dialogue(name: str) -> None:
        for turn in ("1", "2"):
            await engine.complete(chat.call(sample=name, turn=turn), scope=SCOPE)

    async def work() -> None:
        async with engine, asyncio.TaskGroup() as tasks:
            tasks.create_task(dialogue("quick"))
            tasks.create_task(dialogue("slow"))

    with pytest.raises(ExceptionGroup):
        asyncio.run(work())
    assert engine.total.calls == 2


def test_a_budget_counts_all_engines_of_a_run_and_no_replays(chat: "ChatSetup") -> None:
    spending, budget = Spending(), Budget(tokens=15)
    chat.ask_one(chat.engine(budget=budget, spending=spending))
    with pytest.raises(BudgetSpent, match=r"the run's budget of 15 tokens is spent \(15\)"):
        chat.ask_one(chat.engine(budget=budget, spending=spending), chat.call(sample="d2"))
    assert chat.ask_one(chat.engine(budget=budget, spending=spending)).replayed
    assert len(chat.endpoint.chats) == 1


def test_a_wasted_body_is_paid_for_and_counted(chat: "ChatSetup") -> None:
    chat.endpoint.script(says(None, prompt_tokens=100, completion_tokens=50), "42")
    spending = Spending()
    engine = chat.engine(chat.profile(prices={"tiny": {"prompt": 1.0, "completion": 2.0}}), spending=spending)
    chat.ask_one(engine)
    assert (engine.total.wasted, engine.total.prompt_tokens, engine.total.completion_tokens) == (1, 110, 55)
    assert spending == Spending(165, pytest.approx(220e-6))


def test_usage_is_summed_by_scope_and_in_all(chat: "ChatSetup") -> None:
    engine = chat.engine(chat.profile(prices={"tiny": {"prompt": 1.0, "completion": 2.0}}))

    async def work() -> None:
        async with engine:
            for scope in ("a|1", "a|1", "a|2"):
                await engine.complete(chat.call(), scope=scope)

    asyncio.run(work())
    one = engine.take_usage("a|1")
    assert (one.calls, one.replayed, one.prompt_tokens, one.completion_tokens) == (1, 1, 10, 5)
    assert one.cost == pytest.approx(20e-6)
    assert (one.replayed_prompt_tokens, one.replayed_cost) == (0, 0.0)  # this run paid, and it is counted once
    assert (engine.total.calls, len(engine.total.latencies)) == (2, 2)


def test_what_an_earlier_run_paid_is_counted_once_at_its_price(chat: "ChatSetup") -> None:
    profile = chat.profile(prices={"tiny": {"prompt": 1.0, "completion": 2.0}})
    chat.ask(*chat.calls(2), engine=chat.engine(profile))
    spending = Spending()
    engine = chat.engine(profile, spending=spending)
    chat.ask(*chat.calls(3), *chat.calls(3), engine=engine)
    total = engine.total
    assert (total.calls, total.cost, total.replayed) == (1, pytest.approx(20e-6), 5)
    assert (total.replayed_prompt_tokens, total.replayed_completion_tokens) == (20, 10)
    assert total.replayed_cost == pytest.approx(40e-6)
    assert spending.cost == pytest.approx(20e-6)  # the budget is of this run's money


def test_a_scope_whose_usage_was_taken_leaves_nothing_in_the_engine(chat: "ChatSetup") -> None:
    engine = chat.engine()
    chat.ask_one(engine)
    assert [engine.take_usage(SCOPE).calls for _ in range(2)] == [1, 0]
    assert engine.total.calls == 1
    assert engine.take_usage("never called") == Usage()


# ---- the end


KILLED_IN_THE_MIDDLE = """
async def main():
    async with ChatEngine(profile, store) as engine:
        for number in range(3):
            await ask(engine, number)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_answers_outlive_sigkill(chat: "ChatSetup") -> None:
    profile = chat.profile()
    with chat.start(KILLED_IN_THE_MIDDLE, profile) as killed:
        assert killed.wait() == -signal.SIGKILL
    assert chat.paid_again(*chat.calls(4), profile=profile) == (3, 1)


def test_nothing_is_left_running(chat: "ChatSetup") -> None:
    async def work() -> int:
        async with chat.engine() as engine:
            await engine.complete(chat.call(), scope=SCOPE)
        return len(asyncio.all_tasks())

    assert asyncio.run(work()) == 1


def test_on_s3_everything_is_kept_when_the_engine_ends(chat: "ChatSetup", s3_root: str) -> None:
    chat.ask(*chat.calls(5), engine=chat.engine(store=open_store(s3_root)))
    assert chat.paid_again(*chat.calls(5), store=open_store(s3_root)) == (5, 0)
    assert len(open_store(s3_root).list("_journal")) == 1
