from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from resources.store import Store
from tests.resources.trainers.launching import REPOSITORY, Jobs, Runs


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("MASTER_TEST_JOBS", str(tmp_path / "jobs"))
    jobs = Jobs(tmp_path / "jobs")
    yield jobs
    for process in jobs.processes():
        process.kill()


@pytest.fixture
def runs(store: Store) -> Iterator[Runs]:
    with DagsterInstance.ephemeral() as instance:
        yield Runs(instance, store)
