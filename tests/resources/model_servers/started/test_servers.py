"""The life of a started server, with an executable that behaves like vLLM: vLLM itself needs a GPU."""

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resources.chat.calls import Call, EndpointUnusable, Message
from resources.chat.profile import Endpoint, Profile
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService, run_async
from resources.chat.spending_log import read_spending
from resources.lake.store import LocalStore
from resources.model_servers.lease import ModelServerError, live_server
from resources.model_servers.started.servers import lease_started_server
from resources.model_servers.started.usage import read_usage, usage_name
from tests.waiting import until

if TYPE_CHECKING:
    from tests.resources.model_servers.conftest import StandIn

HASTE = RetryPolicy(attempts=4, first_wait=0.01)


def models_at(base_url: str, key: str = "") -> list[str]:
    request = urllib.request.Request(f"{base_url}/models", headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    with urllib.request.urlopen(request) as reply:  # noqa: S310
        return [model["id"] for model in json.load(reply)["data"]]


def ask(stand_in: "StandIn", *models: str, **settings: Any) -> list[str]:
    """The answers of an engine whose endpoint is the stand-in."""
    endpoint = Endpoint(kind="vllm", server=stand_in.server(**settings))
    role = {"endpoint": "gpu", "model": "some/model", "temperature": 0, "max_tokens": 8}
    roles = {model: {**role, "model": model} for model in models}
    profile = Profile.model_validate({"name": "gpu", "endpoints": {"gpu": endpoint}, "roles": roles})

    async def work() -> list[str]:
        async with ChatService(profile, LocalStore(stand_in.folder / "lake"), retries=HASTE).engine() as engine:
            calls = [Call(model, (Message("user", "Who?"),), model, "0") for model in models]
            return [(await engine.complete(call, scope="some/scope")).text for call in calls]

    return run_async(work())


def test_it_starts_with_its_arguments_is_shared_and_ends_when_idle(stand_in: "StandIn") -> None:
    server = stand_in.server(gpus=2, arguments=["--max-model-len", "4096"])
    barrier = threading.Barrier(3)

    def lease_it(_: int) -> str:
        with lease_started_server("vllm", server) as base_url:
            barrier.wait()
            return base_url

    with ThreadPoolExecutor(3) as executor:
        addresses = set(executor.map(lease_it, range(3)))

    assert len(addresses) == len(stand_in.starts) == 1
    arguments = stand_in.starts[0]["arguments"]
    port = addresses.pop().split(":")[2].removesuffix("/v1")
    served = ["serve", "some/model", "--served-model-name", "some/model", "--host", "127.0.0.1", "--port", port]
    further = ["--tensor-parallel-size", "2", "--disable-uvicorn-access-log", "--max-model-len", "4096"]
    assert arguments == [*served, *further]
    until(stand_in.has_ended)


def test_a_slow_start_is_waited_for_until_it_answers(stand_in: "StandIn", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "slow")
    with ThreadPoolExecutor(1) as executor:
        asked = executor.submit(ask, stand_in, "some/model")
        until(lambda: stand_in.starts)
        assert not asked.done()
        (stand_in.folder / "gate").touch()
        assert asked.result() == ["from some/model"]


@pytest.mark.parametrize(
    ("behaviour", "settings", "message"),
    [
        ("out_of_memory", {}, "not enough memory on the GPU.*--gpu-memory-utilization"),
        ("gated", {}, "the model is gated.*HF_TOKEN to server.environment"),
        ("not_found", {}, "the model was not found: check server.model"),
        ("crash", {}, "ended while it was starting. Its last output"),
        ("slow", {"start_seconds": 1}, "was not ready after 1 s"),
        ("", {"arguments": ["--no-such-option"]}, "an argument is not known: check server.arguments"),
        ("", {"executable": "no-such-program"}, "no-such-program was not found.*install vLLM"),
    ],
)
def test_a_start_that_fails_is_one_error_with_its_cause_and_the_end_of_the_log(
    stand_in: "StandIn", monkeypatch: pytest.MonkeyPatch, behaviour: str, settings: dict[str, Any], message: str
) -> None:
    monkeypatch.setenv("STAND_IN", behaviour)
    with pytest.raises(EndpointUnusable, match=f"(?s)endpoint 'gpu' cannot be used: .*{message}") as caught:
        ask(stand_in, "some/model", "some/model", **settings)
    if stand_in.starts:
        assert f"{stand_in.runtime}" in str(caught.value)  # where the log is
        until(stand_in.has_ended)
    assert len(stand_in.starts) <= 1


def test_a_port_in_use_is_named(stand_in: "StandIn") -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ModelServerError, match=r"the port is in use: choose another server\.port"),
        lease_started_server("vllm", stand_in.server(port=taken.getsockname()[1])),
    ):
        pass


def test_another_free_port_is_taken_where_one_was_lost(stand_in: "StandIn", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "port_taken_once")
    assert ask(stand_in, "some/model") == ["from some/model"]
    assert len(stand_in.starts) == 2


def test_a_server_that_dies_while_it_serves_is_started_again_once(
    stand_in: "StandIn", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "dies")
    assert ask(stand_in, "some/model") == ["from some/model"]
    assert len(stand_in.starts) == 2


def test_a_server_that_dies_unused_takes_its_supervisor_with_it_and_the_log_says_so(stand_in: "StandIn") -> None:
    with lease_started_server("vllm", stand_in.server(idle_seconds=600)):
        os.kill(stand_in.starts[0]["pid"], signal.SIGKILL)
        until(lambda: not stand_in.live)
    assert "vllm ended with exit code -9" in stand_in.log


def test_secrets_reach_the_server_and_not_its_log_its_arguments_or_an_error(
    stand_in: "StandIn", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "OTHER_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, f"secret-{name}-value")
    server = stand_in.server(environment=("HF_TOKEN",))
    with lease_started_server("vllm", server, "secret-key-value") as base_url:
        assert models_at(base_url, "secret-key-value") == ["some/model"]
    (start,) = stand_in.starts
    assert {"HF_TOKEN", "VLLM_API_KEY", "PATH"} <= set(start["environment"])
    assert not {"OTHER_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(start["environment"])
    assert "secret" not in json.dumps(start["arguments"])
    until(lambda: "starting with" in stand_in.log)
    assert "secret" not in stand_in.log


def test_a_killed_supervisor_leaves_no_server_behind(stand_in: "StandIn") -> None:
    with lease_started_server("vllm", stand_in.server(idle_seconds=600)):
        (files,) = stand_in.live
        supervisor = live_server(files)
        assert supervisor is not None
        os.kill(supervisor.pid, signal.SIGKILL)
        until(stand_in.has_ended)


def adapter(folder: Path, rank: int) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return str(folder)


def test_adapters_are_loaded_by_name_once_and_share_the_server(stand_in: "StandIn", tmp_path: Path) -> None:
    adapters = {name: adapter(tmp_path / name, 8) for name in ("tuned-a", "tuned-b")}
    common = {"max_lora_rank": 16, "idle_seconds": 30}
    assert ask(stand_in, "some/model", "tuned-a", adapters=adapters, **common) == ["from some/model", "from tuned-a"]
    with lease_started_server("vllm", stand_in.server(adapters=adapters, **common)) as base_url:
        assert models_at(base_url) == ["some/model", "tuned-a", "tuned-b"]
    (start,) = stand_in.starts
    assert start["arguments"][-3:] == ["--enable-lora", "--max-lora-rank", "16"]


def test_an_adapter_that_is_refused_is_named(stand_in: "StandIn", tmp_path: Path) -> None:
    adapters = {"tuned": adapter(tmp_path / "tuned", 64)}
    with (
        pytest.raises(ModelServerError, match=r"does not load the adapter tuned .*rank is greater than max_lora_rank"),
        lease_started_server("vllm", stand_in.server(adapters=adapters, max_lora_rank=16)),
    ):
        pass


def test_another_adapter_of_a_name_that_the_server_has_is_refused(stand_in: "StandIn", tmp_path: Path) -> None:
    first, second = ({"tuned": adapter(tmp_path / name, 8)} for name in ("first", "second"))
    with (
        lease_started_server("vllm", stand_in.server(adapters=first, max_lora_rank=16)),
        pytest.raises(ModelServerError, match=r"has the adapter tuned of .*/first already, not that of .*/second"),
        lease_started_server("vllm", stand_in.server(adapters=second, max_lora_rank=16)),
    ):
        pass


def test_the_lake_has_the_hours_of_a_server_once_whoever_uses_it(stand_in: "StandIn") -> None:
    settings = {"price_per_hour": 2.0, "idle_seconds": 600}
    began = time.time()
    with lease_started_server("vllm", stand_in.server(**settings)):
        for _ in range(2):
            ask(stand_in, "some/model", **settings)
    rows = [row for row in read_spending(LocalStore(stand_in.folder / "lake")) if row.hours]  # two around midnight
    named = {(row.run, row.scope, row.role, row.model) for row in rows}
    assert named == {("", "model_servers", "model_server", "some/model")}
    hours = sum(row.hours for row in rows)
    assert 600 <= 3600 * hours <= 600 + time.time() - began
    assert sum(row.cost for row in rows) == pytest.approx(2 * hours)


def test_what_it_used_is_recorded_with_its_price(stand_in: "StandIn") -> None:
    server = stand_in.server(price_per_hour=3600)
    with lease_started_server("vllm", server):
        pass
    until(stand_in.has_ended)
    usage = read_usage(usage_name("vllm", server))
    assert usage.starts == 1
    assert 0 < usage.startup_seconds <= usage.running_seconds
    assert usage.cost == pytest.approx(usage.running_seconds)
