"""The graph as a component in the Dagster project of a team."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from assets.dialogues.load_scenarios import SHIPPED
from assets.quality.configuration import CONFIGURATIONS as RULES
from master_dagster.component import configured
from resources.configuration import ConfigurationError
from tests.sample_project import SampleProject

PROJECT = Path(__file__).parents[2]
SECONDS = 300  # no command takes so long, on however busy a machine
PYPROJECT = """\
[project]
name = "team"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "team"
code_location_target_module = "team.definitions"
"""
DEFINITIONS = """\
from pathlib import Path
from dagster import definitions, load_from_defs_folder
@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A project as `create-dagster` makes them."""
    (tmp_path / "src" / "team" / "defs").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "src" / "team" / "definitions.py").write_text(DEFINITIONS)
    for folder in ("", "defs"):
        (tmp_path / "src" / "team" / folder / "__init__.py").touch()
    return tmp_path


def dg(team: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "DAGSTER_"))}
    path = f"{team / 'src'}{os.pathsep}{PROJECT}"
    return subprocess.run(
        [str(Path(sys.executable).parent / "dg"), *arguments],
        cwd=team,
        env={**environment, "PYTHONPATH": path},
        text=True,
        capture_output=True,
        timeout=SECONDS,
        check=True,
    ).stdout


def test_a_scaffolded_component_adds_the_graph_to_a_project(team: Path) -> None:
    dg(team, "scaffold", "defs", "master_dagster.BoostQA", "boost")
    written = yaml.safe_load((team / "src" / "team" / "defs" / "boost" / "defs.yaml").read_text())
    assert written["attributes"]["settings"] == {"seeds": "demo", "profile": "laptop", "lake_root": "data"}
    listed = json.loads(dg(team, "list", "defs", "--json"))
    assert {"raw_seeds", "scored_dialogues", "boost_qa"} <= {asset["asset_key"] for asset in listed["assets"]}


def test_settings_are_those_of_the_component_and_paths_start_at_the_project(project: SampleProject) -> None:
    settings = {"seeds": "seeds.yaml", "profile": "profile.yaml", "lake_root": "lake"}
    deployment = configured(settings, project.folder)
    assert deployment.settings.lake_root == str(project.folder / "lake")
    assert (deployment.seeds.folder, deployment.profile.name) == (project.folder, "project")


def test_every_kind_of_file_starts_at_the_project_and_a_shipped_name_stays(project: SampleProject) -> None:
    shutil.copytree(SHIPPED, project.folder / "mine")
    (project.folder / "demo").mkdir()
    shutil.copy(RULES / "standard.yaml", project.folder / "rules.yaml")
    settings = {"seeds": "demo", "scenarios": "mine", "quality_rules": "rules.yaml", "lake_root": "lake"}
    deployment = configured(settings, project.folder)
    assert deployment.settings.scenarios == str(project.folder / "mine")
    assert deployment.settings.quality_rules == str(project.folder / "rules.yaml")
    assert {source.name for source in deployment.seeds.sources} == {"demo_math", "demo_code", "demo_general"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sedes": "demo"}, "no setting is called sedes"),
        ({"budget_usd": -1}, "budget_usd"),
        ({"profile": "desktop"}, "MASTER_PROFILE: 'desktop' is neither a file"),
    ],
    ids=["unknown", "wrong value", "no such file"],
)
def test_a_wrong_setting_is_reported(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configured(settings, tmp_path)
