"""The example plug-ins, installed from their folder without network: the graph runs with them, and then without."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import yaml
from dagster import AssetCheckKey, AssetKey, DagsterInstance

from assets.boost_qa.release import RELEASES
from assets.quality.partition_status import partition_statuses
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from master_dagster.deployment import load_deployment
from resources.lake.tables import Lake
from tests.fake_endpoint import FakeEndpoint
from tests.sample_project import SampleProject, found_project, question

pytestmark = pytest.mark.end_to_end
PROJECT = Path(__file__).parents[2]
RUN = """
from dagster import DagsterInstance
from master_dagster.graph import build_definitions
from master_dagster.steps import materialise_graph
from master_dagster.deployment import load_deployment
deployment = load_deployment()
with DagsterInstance.get() as instance:
    materialise_graph(deployment, build_definitions(deployment), instance)
"""


@dataclass(frozen=True)
class WithPlugins:
    """A project, and what runs Python where the example plug-ins are installed."""

    project: SampleProject
    site: Path

    @property
    def home(self) -> Path:
        return self.project.folder / "dagster_home"

    def python(self, *arguments: str) -> str:
        environment = {**os.environ, **self.project.environment, "DAGSTER_HOME": str(self.home)}
        environment["PYTHONPATH"] = f"{self.site}{os.pathsep}{PROJECT}"
        command = [sys.executable, *arguments]
        ran = subprocess.run(command, cwd=self.project.folder, env=environment, text=True, capture_output=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


def install_examples(folder: Path) -> Path:
    """The example package, and the signal that the page shows."""
    sources = [shutil.copytree(PROJECT / "examples" / "plugins", folder / "source"), folder / "shown"]
    page = (PROJECT / "docs" / "plugins.md").read_text(encoding="utf-8")
    sources[1].mkdir()
    for name, language in (("pyproject.toml", "toml"), ("my_signals.py", "python")):
        (shown,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        (sources[1] / name).write_text(shown)
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", folder / "site", *sources]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "site"


def write_database(project: SampleProject) -> None:
    """The questions in a database in place of a file."""
    with closing(sqlite3.connect(project.folder / "sums.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE sums (question, answer)")
        connection.executemany("INSERT INTO sums VALUES (:question, :answer)", map(question, range(4)))
    seeds = yaml.safe_load((project.folder / "seeds.yaml").read_text())
    (source,) = seeds["sources"]
    del source["files"]
    query = "SELECT question, answer FROM sums ORDER BY rowid"
    source["plugin"] = {"kind": "sqlite", "database": "sums.sqlite", "query": query}
    (project.folder / "seeds.yaml").write_text(yaml.safe_dump(seeds))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithPlugins]:
    endpoint = FakeEndpoint()
    endpoint.start()
    installed = WithPlugins(
        found_project(tmp_path_factory.mktemp("project"), endpoint), install_examples(tmp_path_factory.mktemp("pip"))
    )
    write_database(installed.project)
    installed.home.mkdir()
    (installed.home / "dagster.yaml").touch()
    installed.python("-c", RUN)
    yield installed
    endpoint.stop()


def test_the_command_lists_them(examples: WithPlugins) -> None:
    listed = examples.python("-m", "master_dagster", "plugins")
    assert "  reading_ease of master-example-plugins 1.0.0: Flesch reading ease" in listed
    assert "  sqlite of master-example-plugins 1.0.0: The rows of a query" in listed


def test_the_settings_page_has_their_keys(examples: WithPlugins) -> None:
    page = examples.python("-m", "master_dagster.cli.settings_reference")
    assert "### `sqlite` (master_dagster.seed_sources)" in page
    assert "| `database` | path | required |" in page


def test_the_source_becomes_seeds(examples: WithPlugins) -> None:
    seeds = Lake.at(examples.project.settings.lake_root).read(SEEDS)
    assert sorted(seeds["question"]) == sorted(question(number)["question"] for number in range(4))
    assert set(seeds["origin_file"]) == {"sqlite"}


@pytest.mark.parametrize(
    ("signal", "least", "most", "line"),
    [
        ("reading_ease", 30, 120, "| master-example-plugins 1.0.0 | at least 0 (else flagged) | 4 |"),
        ("question_share", 0.01, 0.9, "| my-signals 1.0 | at most 0.9 (else rejected) | 4 |"),
    ],
)
def test_a_signal_becomes_a_column_a_check_and_a_line_on_the_card(
    examples: WithPlugins, signal: str, least: float, most: float, line: str
) -> None:
    lake = Lake.at(examples.project.settings.lake_root)
    files = [lake.store.uri(lake.path(SCORED, record.keys)) for record in lake.records(SCORED)]
    assert pl.read_parquet(files)[signal].is_between(least, most).all()
    with DagsterInstance.from_config(str(examples.home)) as instance:
        check = AssetCheckKey(AssetKey(SCORED.name), f"signal_{signal}")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
        assert record.status.value == "SUCCEEDED"
    card = lake.store.get(f"{RELEASES.latest(lake).folder}/README.md").decode().replace("\\", "")
    (shown,) = (row for row in card.splitlines() if row.startswith(f"| {signal} "))
    assert line in shown


def test_without_the_plug_in_its_scores_are_stale_and_can_still_be_read(examples: WithPlugins) -> None:
    deployed = load_deployment(examples.project.settings.model_copy(update={"seeds": "demo"}))
    lake = Lake.at(examples.project.settings.lake_root)
    statuses = partition_statuses(lake, deployed.expected())
    assert {(status.why, status.scores_only) for status in statuses} == {("stale", True)}
    assert lake.read(SCORED).columns == list(SCORED.columns)
    with lake.connect([SCORED]) as connection:
        assert connection.sql("SELECT count(*) FROM scored_dialogues").fetchall() == [(4,)]
