"""Where models under test answer."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from resources.configuration import ConfigurationError
from resources.lake.opening import open_store
from resources.model_servers.tuned.configuration import CONFIGURATIONS, Serving, load_serving
from resources.model_servers.tuned.served import ModelUnderTest, serve

SERVER = {"base_url": "http://localhost:8000/v1"}


def under_test(variant: str = "boost_qa", base_model: str = "meta-llama/Meta-Llama-3-8B") -> ModelUnderTest:
    adapter = None if variant == "untuned" else "checkpoints/llama-3-8b/boost_qa/c1/adapter"
    return ModelUnderTest("llama-3-8b", base_model, variant, "c1", adapter, "")


def name_of(serving: dict[str, Any], model: ModelUnderTest) -> str:
    with serve(
        Serving.model_validate({"kind": "endpoint", "endpoint": SERVER, **serving}), open_store("."), model
    ) as it:
        return it.model


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGURATIONS.glob("*.yaml")))
def test_what_is_shipped_is_valid(name: str) -> None:
    assert load_serving(name).kind in ("local", "endpoint")


def test_a_tuned_model_has_its_adapters_name() -> None:
    assert name_of({}, under_test()) == "llama-3-8b-boost_qa"


def test_the_untuned_model_has_the_base_models_name() -> None:
    assert name_of({}, under_test("untuned")) == "llama-3-8b"


def test_a_name_can_hold_the_checkpoint() -> None:
    assert name_of({"model": "{variant}-{checkpoint}"}, under_test()) == "boost_qa-c1"


def test_a_partition_can_have_a_name_of_its_own() -> None:
    assert name_of({"models": {"llama-3-8b|boost_qa": "mine"}}, under_test()) == "mine"


def test_a_base_model_can_have_an_endpoint_of_its_own() -> None:
    own = {"base_url": "http://localhost:9000/v1"}
    serving = Serving.model_validate({"kind": "endpoint", "endpoints": {"llama-3-8b": own}})
    with serve(serving, open_store("."), under_test()) as served:
        assert served.endpoint.base_url == "http://localhost:9000/v1"


def test_a_base_model_without_an_endpoint_is_named() -> None:
    serving = Serving.model_validate({"kind": "endpoint", "endpoints": {"other": SERVER}})
    with (
        pytest.raises(ConfigurationError, match=r"no endpoint serves llama-3-8b"),
        serve(serving, open_store("."), under_test()),
    ):
        pass


def test_this_machine_serves_the_embedded_model_only() -> None:
    with (
        pytest.raises(ConfigurationError, match=r"Serve it with vLLM"),
        serve(load_serving("local"), open_store("."), under_test()),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "endpoint"}, "kind 'endpoint' needs an endpoint"),
        ({"kind": "local", "endpoint": SERVER}, "kind 'local' takes no endpoint"),
        ({"kind": "endpoint", "endpoint": SERVER, "model": "{key}"}, "should hold no placeholder but"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    file = tmp_path / "served.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=message):
        load_serving(str(file))
