"""A stand-in for the hub that the client of this process talks to."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.hub_server import HubServer


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The stand-in, with a token that may write; the client repeats a request without a pause."""
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_writes_here")
    without_pause = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr("huggingface_hub.utils._http.time", without_pause)
    yield server
    server.stop()
