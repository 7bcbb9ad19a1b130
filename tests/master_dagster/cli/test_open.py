"""`master-dagster open`."""

import shutil
import webbrowser
from pathlib import Path

import pytest

from tests.command_line import output_of, run_command, set_environment
from tests.sample_project import FinishedProject, SampleProject

pytestmark = pytest.mark.end_to_end
Output = pytest.CaptureFixture[str]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a web browser was asked to open, on a machine with a display."""
    addresses: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


@pytest.mark.parametrize("arguments", [[], ["--print"]], ids=["opened", "printed"])
def test_the_page_of_the_latest_release(
    finished: FinishedProject,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
    opened: list[str],
    arguments: list[str],
) -> None:
    set_environment(finished.project, monkeypatch)
    assert run_command("open", *arguments) == 0
    page = Path(output_of(capsys).strip())
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert opened == ([] if arguments else [page.as_uri()])


def test_a_page_that_is_missing_is_made_first(
    finished_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output, opened: list[str]
) -> None:
    shutil.rmtree(finished_project.folder / "lake" / "dialogue_browser")
    set_environment(finished_project, monkeypatch)
    calls = len(finished_project.endpoint.requests)
    assert run_command("open") == 0
    shown = output_of(capsys)
    assert "done dialogue_browser" in shown
    assert [Path(shown.splitlines()[-1]).as_uri()] == opened
    assert len(finished_project.endpoint.requests) == calls


def test_without_a_display_the_path_is_printed(
    finished: FinishedProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished.project, monkeypatch)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert run_command("open") == 0
    shown = output_of(capsys)
    assert "index.html" in shown
    assert "There is no display here" in shown


def test_without_a_release_it_says_what_to_do(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(project, monkeypatch)
    assert run_command("open") == 1
    assert "run `master-dagster run` first" in output_of(capsys)
