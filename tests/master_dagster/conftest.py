import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from assets.lesson_plans.schema import LESSON_PLANS
from assets.seeds.schema import EMBEDDINGS, READINGS, REJECTS, SEEDS
from master_dagster.definitions import build_definitions
from master_dagster.demo import drive
from tests.fake_endpoint import FakeEndpoint
from tests.school import School, Taught, found_school


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taught]:
    """The whole graph, driven once for all tests: they read it, and change a copy."""
    endpoint = FakeEndpoint()
    endpoint.start()
    school = found_school(tmp_path_factory.mktemp("taught"), endpoint)
    deployment = school.deployment
    with DagsterInstance.ephemeral() as instance:
        definitions = build_definitions(deployment)
        drive(deployment, definitions, instance)
        yield Taught(school, definitions, instance)
    endpoint.stop()


@pytest.fixture
def school(tmp_path: Path, fake_endpoint: FakeEndpoint) -> School:
    """A whole deployment in a temporary folder: its own seeds, a profile on the fake endpoint, an empty lake."""
    return found_school(tmp_path, fake_endpoint)


@pytest.fixture
def planned_school(taught: Taught, school: School) -> School:
    """The same with seeds and plans in its lake, and no dialogue."""
    ours, theirs = school.folder / "lake", taught.school.folder / "lake"
    for table in (SEEDS, REJECTS, READINGS, EMBEDDINGS, LESSON_PLANS):
        for folder in (table.name, f"_index/{table.name}"):
            if (theirs / folder).is_dir():
                shutil.copytree(theirs / folder, ours / folder)
    shutil.copy(theirs / "lake.json", ours)
    return school


@pytest.fixture
def taught_school(taught: Taught, school: School) -> School:
    """The same with everything made, to be changed."""
    shutil.copytree(taught.school.folder / "lake", school.folder / "lake")
    return school


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """A Dagster instance that forgets."""
    with DagsterInstance.ephemeral() as instance:
        yield instance
