"""Spans and metrics of calls reach a collector, without texts, and only where they are switched on."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.telemetry import SERVICE, SWITCH
from tests.fake_endpoint import FakeEndpoint
from tests.otlp_collector import Collector, collector

if TYPE_CHECKING:
    from tests.resources.chat.conftest import ChatSetup

CLIENT_KIND = 3
TOKENS = "gen_ai.client.token.usage"
ASKS = """
async def main():
    async with ChatEngine(profile, store) as engine:
        await ask(engine, 0)

asyncio.run(main())
imported = any(name.startswith("opentelemetry") for name in sys.modules)
sys.exit(imported * 3)
"""
SCORES = """
async def main():
    async with ChatEngine(profile, store) as engine:
        call = Call("strong_student", (Message("user", "6 x 7 ="),), "d1", "0", continuation=" 42")
        await asyncio.gather(engine.complete(call, scope=scope), return_exceptions=True)

asyncio.run(main())
"""
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 80},
    "completion_tokens_details": {"reasoning_tokens": 15},
}
SECRET_ANSWER = "a text that nobody else may read"


@pytest.fixture
def received(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """What a process reports that asks once and is answered by 500 at first."""
    choice = {"message": {"content": SECRET_ANSWER}, "finish_reason": "stop"}
    answer = FakeEndpoint.sends(json.dumps({"choices": [choice], "usage": USAGE}))
    chat.endpoint.script(FakeEndpoint.fails(500, SECRET_ANSWER), answer)
    with collector() as found:
        monkeypatch.setenv(SWITCH, found.address)
        _, errors = (process := chat.start(ASKS)).communicate()
        assert process.returncode == 3, errors
        yield found


def test_each_request_is_a_span_with_tokens_and_without_texts(chat: "ChatSetup", received: Collector) -> None:
    failed, answered = received.spans
    host, port = chat.endpoint.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    shared = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 64,
        "server.address": host,
        "server.port": int(port),
        "master.role": "strong_student",
        "master.scope": "scenario_dialogues/debate|demo-0000",
    }
    usage = {
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 80,
        "gen_ai.usage.reasoning.output_tokens": 15,
    }
    span = {"name": "chat tiny", "kind": CLIENT_KIND}
    assert failed == {**span, "failed": True, "attributes": shared | {"error.type": "server_error"}}
    assert answered == {**span, "failed": False, "attributes": shared | usage}
    assert received.services == {SERVICE}
    sent = b"".join(received.bodies)
    assert SECRET_ANSWER.encode() not in sent
    assert b"What is 6 x 7?" not in sent


def test_a_request_for_log_probabilities_is_a_text_completion(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as found:
        monkeypatch.setenv(SWITCH, found.address)
        chat.start(SCORES).communicate()
    (span,) = found.spans
    assert (span["name"], span["attributes"]["gen_ai.operation.name"]) == ("text_completion tiny", "text_completion")


def test_tokens_and_durations_are_histograms(received: Collector) -> None:
    def counts(metric: str, attribute: str) -> dict[Any, int]:
        return {attributes.get(attribute): count for attributes, count, _ in received.metrics[metric]}

    tokens = {attributes["gen_ai.token.type"]: total for attributes, _, total in received.metrics[TOKENS]}
    assert tokens == {"input": 100, "output": 20}
    assert counts("gen_ai.client.operation.duration", "error.type") == {None: 1, "server_error": 1}


@pytest.mark.parametrize("environment", [{}, {SWITCH: ""}, {SWITCH: "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}])
def test_nothing_is_imported_where_it_is_off(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    process = chat.start(ASKS)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def test_a_collector_that_is_gone_ends_no_run(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    process = chat.start(ASKS)
    process.communicate()
    assert process.returncode == 3
    assert chat.paid_again(chat.call(sample="d0")) == (1, 0)


def test_an_installation_with_a_part_of_opentelemetry_ends_no_run(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "http://127.0.0.1:9")
    process = chat.start(f'sys.modules["opentelemetry.exporter"] = None\n{ASKS}')
    _, errors = process.communicate()
    assert "nothing is sent: install the extra `telemetry`" in errors
    assert chat.paid_again(chat.call(sample="d0")) == (1, 0)
