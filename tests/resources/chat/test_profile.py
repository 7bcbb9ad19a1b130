"""What an endpoint of a profile may be told, and what is never repeated in a message."""

from pathlib import Path

import pytest
import yaml

from resources.chat.profile import PROFILES, Endpoint, load_profile
from resources.configuration import ConfigurationError

KEY = "sk-opensesame"


def fault_of(tmp_path: Path, **endpoint: str) -> str:
    """The message about the shipped hosted profile with these fields of its endpoint changed."""
    content = yaml.safe_load((PROFILES / "hosted.yaml").read_text())
    next(iter(content["endpoints"].values())).update(endpoint)
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as caught:
        load_profile(str(file))
    return str(caught.value)


def test_a_key_in_the_place_of_a_variables_name_is_refused_with_what_to_do(tmp_path: Path) -> None:
    assert "should be the NAME of an environment variable" in fault_of(tmp_path, api_key_env=KEY)


def test_a_password_in_an_address_is_refused_with_what_to_do(tmp_path: Path) -> None:
    assert "no user name and no password" in fault_of(tmp_path, base_url=f"http://me:{KEY}@localhost/v1")


@pytest.mark.parametrize("address", ["http://localhost:80000/v1", "http://localhost:port/v1", "http://[::1/v1"])
def test_an_address_that_cannot_be_read_is_refused(tmp_path: Path, address: str) -> None:
    assert "check host and port" in fault_of(tmp_path, base_url=address)


@pytest.mark.parametrize("address", ["localhost:8000/v1", "ftp://localhost/v1", "http:///v1"])
def test_an_address_without_scheme_or_host_is_refused(tmp_path: Path, address: str) -> None:
    assert "must start with http:// or https:// and name a host" in fault_of(tmp_path, base_url=address)


@pytest.mark.parametrize(
    "endpoint",
    [{"api_key_env": KEY}, {"api_key": KEY}, {"base_url": f"http://me:{KEY}@localhost/v1"}, {"base_url": KEY}],
)
def test_no_message_repeats_a_key(tmp_path: Path, endpoint: dict[str, str]) -> None:
    assert KEY not in fault_of(tmp_path, **endpoint)


@pytest.mark.parametrize("address", ["http://localhost:8000/v1", "http://[::1]:8000/v1", "https://models.test/v1"])
def test_an_address_with_scheme_and_host_is_accepted(address: str) -> None:
    assert Endpoint(base_url=address).base_url == address
