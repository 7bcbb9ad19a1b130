"""Fixtures that several test folders share."""

from collections.abc import Iterator

import pytest

from .fake_endpoint import FakeEndpoint


@pytest.fixture
def fake_endpoint() -> Iterator[FakeEndpoint]:
    """A scriptable OpenAI-compatible server on loopback; see `FakeEndpoint` for what it can be told to do."""
    endpoint = FakeEndpoint()
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()
