"""Fixtures that several test folders share."""

import importlib.util
import os
import signal
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from resources.embedded.lease import ServerFiles, live_server
from resources.embedded.models import CHAT_PACKAGE, SENTENCE_PACKAGE

from .fake_endpoint import FakeEndpoint


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `embedded` where the embedded model is not installed."""
    missing = [name for name in ("xllamacpp", "gguf", "safetensors") if importlib.util.find_spec(name) is None]
    for package in (CHAT_PACKAGE, SENTENCE_PACKAGE):
        try:
            distribution(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        skip = pytest.mark.skip(reason=f"the embedded model needs {', '.join(missing)} (make setup)")
        for item in items:
            if item.get_closest_marker("embedded"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def embedded_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the embedded servers of the tests, and what they cache, apart from the user's own."""
    folder = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(folder))
        environment.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield
    for state in folder.glob("master-dagster/*.server"):
        if server := live_server(ServerFiles(state.parent, state.stem)):
            os.kill(server.pid, signal.SIGTERM)


@pytest.fixture
def fake_endpoint() -> Iterator[FakeEndpoint]:
    """A scriptable OpenAI-compatible server on loopback; see `FakeEndpoint` for what it can be told to do."""
    endpoint = FakeEndpoint()
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()
