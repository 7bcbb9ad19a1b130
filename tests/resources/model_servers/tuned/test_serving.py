"""Serving models under test."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from resources.configuration import ConfigurationError
from resources.lake.opening import open_store
from resources.model_servers.tuned.configuration import CONFIGURATIONS, Serving, load_serving
from resources.model_servers.tuned.serving import ModelUnderTest, serve_model

SERVER = {"base_url": "http://localhost:8000/v1"}
OTHER = {"base_url": "http://localhost:9000/v1"}


def under_test(variant: str = "boost_qa") -> ModelUnderTest:
    adapter = None if variant == "untuned" else "checkpoints/llama-3-8b/boost_qa/c1/adapter"
    return ModelUnderTest("llama-3-8b", "meta-llama/Meta-Llama-3-8B", variant, "c1", adapter, "")


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGURATIONS.glob("*.yaml")))
def test_shipped_configurations_are_valid(name: str) -> None:
    assert load_serving(name).kind in ("local", "endpoint")


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
        (load_serving("local"), "Serve it with vLLM"),
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
        ({"kind": "endpoint", "endpoint": SERVER, "model": "{key}"}, "may only have the placeholders"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    file = tmp_path / "served.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=message):
        load_serving(str(file))
