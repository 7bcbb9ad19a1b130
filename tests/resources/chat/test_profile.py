"""What a profile may say of an endpoint, and what no message repeats."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from resources.chat.profile import PROFILES, Endpoint, load_profile, read_key
from resources.chat.role_model import ModelPrice, RoleModel
from resources.configuration import ConfigurationError

KEY = "sk-opensesame"


def error_of(tmp_path: Path, **endpoint: Any) -> str:
    """The error about the shipped hosted profile with these fields of its endpoint changed."""
    content = yaml.safe_load((PROFILES / "hosted.yaml").read_text())
    next(iter(content["endpoints"].values())).update(endpoint)
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as caught:
        load_profile(str(file))
    return str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({"api_key_env": KEY}, "should be the NAME of an environment variable"),
        ({"base_url": f"http://me:{KEY}@localhost/v1"}, "no user name and no password"),
        ({"base_url": "http://localhost:80000/v1"}, "check host and port"),
        ({"base_url": "http://localhost:port/v1"}, "check host and port"),
        ({"base_url": "http://[::1/v1"}, "check host and port"),
        ({"base_url": "localhost:8000/v1"}, "must start with http:// or https:// and name a host"),
        ({"base_url": "ftp://localhost/v1"}, "must start with http:// or https:// and name a host"),
        ({"base_url": "http:///v1"}, "must start with http:// or https:// and name a host"),
        ({"base_url": KEY}, "must start with http:// or https:// and name a host"),
        ({"base_url": f"http://localhost/v1?key={KEY}"}, "its query has key: name a variable in api_key_env"),
        ({"base_url": f"http://localhost/v1?a=1&access_token={KEY}"}, "its query has access_token"),
        ({"headers": {"X-Api-Key": KEY}}, "must hold no secret"),
        ({"headers": {"X-Title": "a\nb"}}, "printable ASCII"),
        ({"headers": {"X Title": "a"}}, "letters, digits and hyphens"),
        ({"key_header": "api key"}, "letters, digits and hyphens"),
        ({"api_key": KEY}, "there is no such key"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do_and_without_a_key(
    tmp_path: Path, endpoint: dict[str, Any], message: str
) -> None:
    found = error_of(tmp_path, **endpoint)
    assert message in found
    assert KEY not in found


@pytest.mark.parametrize(
    ("endpoint", "mode", "refused"),
    [
        ({"kind": "embedded", "base_url": None}, "batch", True),
        ({"base_url": "https://me.openai.azure.com/openai/deployments/gpt"}, "batch", True),
        ({"kind": "embedded", "base_url": None}, "live", False),
        ({}, "batch", False),
    ],
)
def test_batches_need_an_endpoint_that_has_them_and_all_faults_are_named_at_once(
    tmp_path: Path, endpoint: dict[str, Any], mode: str, refused: bool
) -> None:
    content = yaml.safe_load((PROFILES / "hosted.yaml").read_text())
    content["endpoints"]["hosted"].update(endpoint)
    content["roles"]["judge"]["mode"] = mode
    content["roles"]["weak_student"]["mode"] = "sometimes"
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match="sometimes") as caught:
        load_profile(str(file))
    assert ("roles.judge.mode: endpoint 'hosted' has no batches" in str(caught.value)) == refused


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:8000/v1",
        "http://[::1]:8000/v1",
        "https://models.test/v1",
        "https://models.test/deployments/m?api-version=2024-10-21",
    ],
)
def test_an_address_with_scheme_and_host_is_accepted(address: str) -> None:
    assert Endpoint(base_url=address).base_url == address


@pytest.mark.parametrize("value", [KEY, f" {KEY}\n", f"\t{KEY}\r\n"])
def test_white_space_around_a_key_is_removed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOME_KEY", value)
    assert read_key("hosted", Endpoint(base_url="http://localhost/v1", api_key_env="SOME_KEY")) == KEY


@pytest.mark.parametrize("value", [f'"{KEY}"', f"'{KEY}'", f"“{KEY}”", f"{KEY} {KEY}", f"{KEY}\n# comment", "ключ-клю"])
def test_a_value_that_is_no_key_is_refused_before_any_call(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ConfigurationError, match=r"OPENAI_API_KEY, which holds quotation marks, spaces or") as caught:
        load_profile("hosted").check_keys(["judge"])
    assert KEY not in str(caught.value)


ROLE: dict[str, Any] = {"endpoint": "hosted", "model": "m"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": 9}, "needs a temperature"),
        ({"temperature": 0}, "needs one of max_tokens and max_completion_tokens"),
        ({"temperature": 0, "max_tokens": 9, "max_completion_tokens": 9}, "needs one of max_tokens and"),
        ({"max_tokens": 9, "reasoning": {"effort": "some"}}, "reasoning.effort"),
    ],
)
def test_a_role_needs_a_temperature_and_one_limit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RoleModel.model_validate(ROLE | fields)


@pytest.mark.parametrize(
    ("fields", "sampled", "limit"),
    [
        ({"temperature": 0.2, "max_tokens": 9}, (0.2, 1.0), 9),
        ({"temperature": None, "top_p": None, "max_tokens": 9}, (None, None), 9),
        ({"max_completion_tokens": 9, "reasoning": {"effort": "low"}}, (None, None), 9),
        ({"temperature": 0.2, "top_p": 0.9, "max_tokens": 9, "reasoning": {"effort": "low"}}, (0.2, 0.9), 9),
    ],
)
def test_a_reasoning_role_is_sampled_only_as_it_says(
    fields: dict[str, Any], sampled: tuple[float | None, float | None], limit: int
) -> None:
    role = RoleModel.model_validate(ROLE | fields)
    assert ((role.temperature, role.top_p), role.token_limit) == (sampled, limit)
    assert role.limited_to(4).token_limit == 4


def test_a_field_that_is_not_set_is_no_part_of_what_makes_dialogues_stale() -> None:
    plain = RoleModel.model_validate(ROLE | {"temperature": 0, "max_tokens": 9}).model_dump(mode="json")
    assert plain.keys().isdisjoint({"reasoning", "max_completion_tokens"})


@pytest.mark.parametrize(
    ("price", "tokens", "dollars"),
    [
        ({}, {}, 3.0),
        ({}, {"cached_tokens": 500_000}, 3.0),  # without a price of its own
        ({"cached_prompt": 0.25}, {"cached_tokens": 800_000}, 0.2 + 0.2 + 2.0),
        ({}, {"batch": True}, 1.5),
        ({"batch": 0.25, "cached_prompt": 0.0}, {"batch": True, "cached_tokens": 1_000_000}, 0.5),
    ],
)
def test_the_price_of_cached_and_batch_tokens(price: dict[str, float], tokens: dict[str, Any], dollars: float) -> None:
    model = ModelPrice.model_validate({"prompt": 1.0, "completion": 2.0} | price)
    assert model.cost(1_000_000, 1_000_000, **tokens) == pytest.approx(dollars)
