"""The wheel: everything that commands need is in it, and they run from it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.sample_project import SampleProject

PROJECT = Path(__file__).parents[2]
PACKAGES = ("assets", "resources", "master_dagster")
SECONDS = 300  # no command takes so long, on however busy a machine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as from an archive without git: a build leaves files in its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(PROJECT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder / "source")
    uv(folder, "build", "--wheel", "--no-build-isolation", "--out-dir", str(folder / "dist"), "source")
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture
def site(wheel: Path, tmp_path: Path) -> Path:
    """A folder of installed packages that has the wheel and nothing else."""
    uv(tmp_path, "pip", "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel))
    return tmp_path / "site"


def uv(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--offline", "--quiet", *arguments, "--python", sys.executable]
    subprocess.run(command, cwd=folder, check=True, timeout=SECONDS)


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = [path.relative_to(PROJECT) for name in PACKAGES for path in (PROJECT / name).rglob("*") if path.is_file()]
    assert [str(path) for path in files if "__pycache__" not in path.parts and str(path) not in packed] == []


def test_a_release_is_made_by_the_installed_command(site: Path, project: SampleProject) -> None:
    settings = {**project.environment, "DAGSTER_HOME": str(project.folder), "PYTHONPATH": str(site)}
    shutil.copy(PROJECT / "infra" / "dagster.yaml", project.folder)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "DAGSTER_"))}

    def command(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=project.folder,
            env={**inherited, **settings},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=True,
        ).stdout

    assert str(site) in command("-c", "import master_dagster.cli.app as app; print(app.__file__)")
    assert "The release:" in command(str(site / "bin" / "master-dagster"), "run", "--yes")
