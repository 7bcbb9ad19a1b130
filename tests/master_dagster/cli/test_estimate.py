"""The dry run as a command."""

import os
import re

import pytest

from master_dagster.cli.estimate import main
from tests.sample_project import FinishedProject, SampleProject


def environment(project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("lake_root", "seeds", "profile"):
        monkeypatch.setenv(f"MASTER_{name.upper()}", getattr(project.settings, name))


@pytest.fixture
def planned(planned_project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    """Seeds and plans are there, and the environment says so."""
    environment(planned_project, monkeypatch)
    return planned_project


def test_it_says_what_all_planned_partitions_take(planned: SampleProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Profile project: 12 dialogues in 3 partitions (0 more are already there)" in capsys.readouterr().out


def test_it_shows_a_row_for_each_role(planned: SampleProject, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert re.search(r"strong_student \(strong_student\)\s+│\s+\d+\s+│\s+[\d,]+ \(assumed\)", capsys.readouterr().out)


def test_it_takes_patterns(planned: SampleProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["debate|*"]) == 0
    assert "in 1 partitions" in capsys.readouterr().out


def test_it_calls_no_model(planned: SampleProject) -> None:
    main([])
    assert planned.endpoint.requests == []


def test_what_is_there_already_takes_nothing(
    taught: FinishedProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(taught.project, monkeypatch)
    assert main([]) == 0
    assert "0 dialogues in 0 partitions (3 more are already there): about 0 calls" in capsys.readouterr().out


def test_a_pattern_that_matches_nothing_is_told_with_what_keys_look_like(
    planned: SampleProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["debates|*"]) == 1
    assert (
        "no planned partition matches debates|*; keys look like 'error_correction|sums-0000'" in capsys.readouterr().out
    )


def test_before_anything_is_planned_it_says_what_to_do(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(project, monkeypatch)
    assert main([]) == 1
    assert "no partition is planned yet: materialise raw_seeds" in capsys.readouterr().out


def test_a_wrong_setting_is_told(planned: SampleProject, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ["MASTER_PROFILE"] = "desktop"  # the fixture's monkeypatch puts it back
    assert main([]) == 1
    assert "MASTER_PROFILE: 'desktop' is neither a file" in capsys.readouterr().out
