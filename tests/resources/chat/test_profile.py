"""What a profile may say of an endpoint, and what no message repeats."""

from pathlib import Path

import pytest
import yaml

from resources.chat.profile import PROFILES, Endpoint, load_profile
from resources.configuration import ConfigurationError

KEY = "sk-opensesame"


def error_of(tmp_path: Path, **endpoint: str) -> str:
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
        ({"api_key": KEY}, "there is no such key"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do_and_without_a_key(
    tmp_path: Path, endpoint: dict[str, str], message: str
) -> None:
    found = error_of(tmp_path, **endpoint)
    assert message in found
    assert KEY not in found


@pytest.mark.parametrize("address", ["http://localhost:8000/v1", "http://[::1]:8000/v1", "https://models.test/v1"])
def test_an_address_with_scheme_and_host_is_accepted(address: str) -> None:
    assert Endpoint(base_url=address).base_url == address
