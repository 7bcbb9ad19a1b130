from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from tests.fake_endpoint import FakeEndpoint
from tests.school import School, found_school


@pytest.fixture
def school(tmp_path: Path, fake_endpoint: FakeEndpoint) -> School:
    """A whole deployment in a temporary folder: its own seeds, a profile on the fake endpoint, its own lake."""
    return found_school(tmp_path, fake_endpoint)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """A Dagster instance that forgets."""
    with DagsterInstance.ephemeral() as instance:
        yield instance
