"""The command line `master-dagster` in the test's own process."""

import io
import shutil
from pathlib import Path

import pytest

from master_dagster.cli.app import app
from master_dagster.terminal import console, error_console
from tests.sample_project import SampleProject

PROJECT = Path(__file__).parents[1]


class Terminal(io.StringIO):
    """Standard input at which somebody types."""

    def isatty(self) -> bool:
        return True


def run_command(*arguments: str) -> int:
    """The exit code of `master-dagster` with these arguments."""
    with pytest.raises(SystemExit) as ended:
        app(list(arguments))
    return int(ended.value.code or 0)


def set_environment(project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's settings and a Dagster instance of its own in the environment; wide lines."""
    home = project.folder / "dagster_home"
    home.mkdir(exist_ok=True)
    shutil.copy(PROJECT / "infra" / "dagster.yaml", home / "dagster.yaml")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("MASTER_PROJECT", str(project.folder))  # without the .env of this repository
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")  # of other processes
    for one in (console, error_console):
        monkeypatch.setattr(one, "_width", 200)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)


def output_of(capsys: pytest.CaptureFixture[str]) -> str:
    """All that was printed since the last call, errors at the end."""
    return "".join(capsys.readouterr())
