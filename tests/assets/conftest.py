"""A tiny, consistent lake for the stages that come after the scores."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from tests.tiny_lake import TinyLake, eight_seeds


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """A Dagster instance in memory."""
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def pictures() -> None:
    """Ask for it to have the pictures of a release drawn: they take most of the time of a tiny one."""


@pytest.fixture
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases without pictures, where the test does not ask for them."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("assets.boost_qa.release.draw_plots", lambda *_: None)


@pytest.fixture
def tiny_lake(tmp_path: Path, no_pictures: None) -> TinyLake:
    """Eight seeds taught, on this machine's disk."""
    return eight_seeds(str(tmp_path / "lake"))


@pytest.fixture
def tiny_s3_lake(s3_root: str, no_pictures: None) -> TinyLake:
    """The same on S3."""
    return eight_seeds(s3_root)
