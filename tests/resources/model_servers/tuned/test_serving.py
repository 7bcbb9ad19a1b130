"""Serving models under test."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from resources.chat.calls import Call, Message
from resources.chat.profile import Profile
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.opening import open_store
from resources.lake.published_folders import publish
from resources.lake.store import Store
from resources.model_servers.tuned.configuration import CONFIGURATIONS, Serving, load_serving
from resources.model_servers.tuned.serving import ModelUnderTest, serve_model

if TYPE_CHECKING:
    from tests.resources.model_servers.conftest import StandIn

CHECKPOINT = "checkpoints/llama-3-8b/boost_qa/c1"
SERVER = {"base_url": "http://localhost:8000/v1"}
OTHER = {"base_url": "http://localhost:9000/v1"}


def under_test(variant: str = "boost_qa") -> ModelUnderTest:
    adapter = None if variant == "untuned" else f"{CHECKPOINT}/adapter"
    return ModelUnderTest("llama-3-8b", "meta-llama/Meta-Llama-3-8B", variant, "c1", adapter, "")


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGURATIONS.glob("*.yaml")))
def test_shipped_configurations_are_valid(name: str) -> None:
    assert load_serving(name).kind in ("local", "endpoint", "vllm")


@pytest.mark.parametrize(
    ("serving", "variant", "name", "url"),
    [
        ({"endpoint": SERVER}, "boost_qa", "llama-3-8b-boost_qa", SERVER["base_url"]),
        ({"endpoint": SERVER}, "untuned", "llama-3-8b", SERVER["base_url"]),
        ({"endpoint": SERVER, "model": "{variant}-{checkpoint}"}, "boost_qa", "boost_qa-c1", SERVER["base_url"]),
        ({"endpoint": SERVER, "models": {"llama-3-8b|boost_qa": "mine"}}, "boost_qa", "mine", SERVER["base_url"]),
        ({"endpoints": {"llama-3-8b": OTHER}}, "boost_qa", "llama-3-8b-boost_qa", OTHER["base_url"]),
    ],
)
def test_name_and_endpoint_of_a_model(serving: dict[str, Any], variant: str, name: str, url: str) -> None:
    configuration = Serving.model_validate({"kind": "endpoint", **serving})
    with serve_model(configuration, open_store("."), under_test(variant)) as served:
        assert (served.model, served.endpoint.base_url) == (name, url)


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        (Serving.model_validate({"kind": "endpoint", "endpoints": {"other": SERVER}}), "no endpoint serves llama-3-8b"),
        (load_serving("local"), "Set MASTER_SERVED to `gpu`, which starts vLLM on this machine"),
        (Serving.model_validate({"kind": "vllm", "servers": {"other": {}}}), "no server is configured for llama-3-8b"),
    ],
)
def test_a_model_that_cannot_be_served_is_named(serving: Serving, message: str) -> None:
    with (
        pytest.raises(ConfigurationError, match=message),
        serve_model(serving, open_store("."), under_test()),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "endpoint"}, "kind 'endpoint' needs an endpoint"),
        ({"kind": "local", "endpoint": SERVER}, "kind 'local' takes no endpoint"),
        ({"kind": "vllm"}, "kind 'vllm' needs a server"),
        ({"kind": "local", "server": {"gpus": 1}}, "no other kind takes one"),
        ({"kind": "endpoint", "endpoint": SERVER, "model": "{key}"}, "may only have the placeholders"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    file = tmp_path / "served.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=message):
        load_serving(str(file))


def test_the_embedded_model_is_not_served_by_vllm() -> None:
    embedded = replace(under_test(), base_model="embedded")
    with (
        pytest.raises(ConfigurationError, match="MASTER_SERVED=local"),
        serve_model(load_serving("gpu"), open_store("."), embedded),
    ):
        pass


def publish_adapter(store: Store, folder: Path) -> None:
    adapter = folder / "staged/adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8}))
    publish(store, folder / "staged", CHECKPOINT, {})


def ask_both(stand_in: "StandIn", store: Store) -> list[str]:
    """The answers of a base model and of its tuned variant, as an evaluation asks them."""
    settings = stand_in.server(idle_seconds=30).model_dump(exclude={"model", "adapters", "served_as"})
    serving = Serving.model_validate({"kind": "vllm", "server": settings})

    async def ask(variant: str) -> str:
        with serve_model(serving, store, under_test(variant)) as served:
            role = {"endpoint": "gpu", "model": served.model, "temperature": 0, "max_tokens": 8}
            profile = Profile.model_validate({"name": "p", "endpoints": {"gpu": served.endpoint}, "roles": {"r": role}})
            async with ChatService(profile, store).engine() as engine:
                call = Call("r", (Message("user", "Who?"),), "1", "0")
                return (await engine.complete(call, scope=f"some/{variant}")).text

    return [run_async(ask(variant)) for variant in ("untuned", "boost_qa")]


def check_both(stand_in: "StandIn", store: Store) -> None:
    assert ask_both(stand_in, store) == ["from meta-llama/Meta-Llama-3-8B", "from llama-3-8b-boost_qa-c1"]
    (start,) = stand_in.starts  # one server for both
    assert start["arguments"][start["arguments"].index("--chat-template") + 1].endswith(".jinja")


def test_vllm_loads_an_adapter_out_of_the_lake_by_name(stand_in: "StandIn", tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "lake"))
    publish_adapter(store, tmp_path)
    check_both(stand_in, store)


def test_a_model_whose_weights_were_all_tuned_has_a_server_of_its_own(tmp_path: Path) -> None:
    whole = replace(under_test(), adapter=None, weights=f"{CHECKPOINT}/model")
    store = open_store(str(tmp_path / "lake"))
    with serve_model(load_serving("gpu"), store, whole) as served:
        server = served.endpoint.server
    assert server is not None
    assert (server.model, server.served_as) == (str(tmp_path / "lake" / CHECKPOINT / "model"), "llama-3-8b-boost_qa-c1")
    assert server.max_lora_rank is None
    assert server.arguments[-2:] == ("--tokenizer", str(tmp_path / "lake" / CHECKPOINT / "tokenizer"))


def test_an_adapter_on_s3_is_copied_and_a_damaged_one_is_refused(
    stand_in: "StandIn", tmp_path: Path, s3_root: str
) -> None:
    store = open_store(s3_root)
    publish_adapter(store, tmp_path)
    check_both(stand_in, store)
    (copy,) = (tmp_path / "cache").rglob("adapter_config.json")
    copy.write_text("{}")
    store.put(f"{CHECKPOINT}/adapter/adapter_config.json", b"{}")
    with (
        pytest.raises(ConfigurationError, match=r"adapter_config\.json is damaged"),
        serve_model(load_serving("gpu"), store, under_test()),
    ):
        pass
