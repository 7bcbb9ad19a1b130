import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.partitions import UNTUNED
from assets.seeds.schema import EMBEDDINGS, READINGS, REJECTS, SEEDS
from master_dagster.graph import build_definitions
from master_dagster.steps import materialise_graph, run_step
from tests.fake_endpoint import FakeEndpoint
from tests.sample_project import FinishedProject, SampleProject, found_project
from tests.ui_process import served

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedProject]:
    """The whole graph, materialised once for all tests. They read it, run in other instances and change only copies."""
    endpoint = FakeEndpoint()
    endpoint.start()
    project = found_project(tmp_path_factory.mktemp("finished"), endpoint)
    deployment = project.deployment
    with DagsterInstance.ephemeral() as instance:
        definitions = build_definitions(deployment)
        materialise_graph(deployment, definitions, instance)
        run_step(definitions, instance, ["checkpoints"], [f"{deployment.training.bases[0].name}|{UNTUNED}"])
        run_step(definitions, instance, ["dialogue_browser"], None)
        yield FinishedProject(project, definitions, instance)
    endpoint.stop()


@pytest.fixture
def project(tmp_path: Path, fake_endpoint: FakeEndpoint) -> SampleProject:
    """A whole deployment in a temporary folder: its own seeds, a profile on the fake endpoint, an empty lake."""
    return found_project(tmp_path, fake_endpoint)


@pytest.fixture
def planned_project(finished: FinishedProject, project: SampleProject) -> SampleProject:
    """The project with seeds and plans in its lake, and no dialogues."""
    ours, theirs = project.folder / "lake", finished.project.folder / "lake"
    for table in (SEEDS, REJECTS, READINGS, EMBEDDINGS, DIALOGUE_PLANS):
        for folder in (table.name, f"_index/{table.name}"):
            if (theirs / folder).is_dir():
                shutil.copytree(theirs / folder, ours / folder)
    shutil.copy(theirs / "lake.json", ours)
    return project


@pytest.fixture
def finished_project(finished: FinishedProject, project: SampleProject) -> SampleProject:
    """The project with a copy of the finished lake, which a test may change."""
    shutil.copytree(finished.project.folder / "lake", project.folder / "lake")
    return project


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """A fresh Dagster instance."""
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def served_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleProject]:
    """A project with seeds and plans of three shards and no dialogues, in the instance that `ui` shows."""
    endpoint = FakeEndpoint()
    endpoint.start()
    project = found_project(tmp_path_factory.mktemp("served"), endpoint)
    seeds = yaml.safe_load((project.folder / "seeds.yaml").read_text())
    (project.folder / "seeds.yaml").write_text(yaml.safe_dump({**seeds, "shard_size": 4}))
    home = project.folder / "dagster_home"
    home.mkdir()
    shutil.copy(PROJECT / "infra" / "dagster.yaml", home / "dagster.yaml")
    with DagsterInstance.from_config(str(home)) as instance:
        definitions = build_definitions(project.deployment)
        run_step(definitions, instance, ["raw_seeds", "seed_embeddings"], ["sums"])
        run_step(definitions, instance, ["dialogue_plans"], ["sums-0000", "sums-0001", "sums-0002"])
    yield project
    endpoint.stop()


@pytest.fixture(scope="module")
def ui(served_project: SampleProject) -> Iterator[str]:
    """The address of the running UI with its daemon, whose nightly schedule ticks every minute."""
    home = served_project.folder / "dagster_home"
    # Not in this repository's folder, whose .env would take precedence over the environment.
    variables = {**served_project.environment, "DAGSTER_HOME": str(home), "MASTER_NIGHTLY_CRON": "* * * * *"}
    (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    with served("master_dagster", "ui", folder=home) as address:
        yield address
