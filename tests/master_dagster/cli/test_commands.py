"""`master-dagster <command>`."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.command_line import output_of, run_command, set_environment
from tests.sample_project import FinishedProject, SampleProject

Output = pytest.CaptureFixture[str]


@pytest.fixture
def planned(planned_project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    """Seeds and plans are in the lake that the environment names."""
    set_environment(planned_project, monkeypatch)
    return planned_project


def test_the_estimate_covers_all_planned_partitions_by_role_and_calls_no_model(
    planned: SampleProject, capsys: Output
) -> None:
    assert run_command("estimate") == 0
    shown = output_of(capsys)
    assert "Profile project: 12 dialogues in 3 partitions: about" in shown
    assert re.search(r"strong_student \(strong_student\)\s+│\s+\d+\s+│\s+[\d,]+ \(assumed\)", shown)
    assert "at most 108 items made from 12 dialogues: about 122 live calls" in shown
    assert planned.endpoint.requests == []


def test_the_estimate_as_json(planned: SampleProject, capsys: Output) -> None:
    assert run_command("estimate", "--json") == 0
    estimate = json.loads(capsys.readouterr().out)
    assert (estimate["profile"], estimate["dialogues"], estimate["partitions"]) == ("project", 12, 3)
    assert estimate["calls"] == sum(role["calls"] for role in estimate["roles"])
    calibration = estimate["calibration"]
    assert (calibration["dialogues"], calibration["items"]) == (12, 108)
    assert [role["role"] for role in calibration["roles"]] == ["judge"]


def test_the_estimate_takes_patterns(planned: SampleProject, capsys: Output) -> None:
    assert run_command("estimate", "debate|*") == 0
    assert "in 1 partition: about" in output_of(capsys)


def test_current_partitions_cost_nothing(
    finished: FinishedProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished.project, monkeypatch)
    assert run_command("estimate") == 0
    assert "nothing is due: 3 partitions are current." in output_of(capsys)


def test_a_pattern_that_matches_nothing_is_reported_with_examples_of_keys(
    planned: SampleProject, capsys: Output
) -> None:
    assert run_command("estimate", "debates|*") == 1
    assert "no planned partition matches debates|*; keys look like 'error_correction|sums-0000'" in output_of(capsys)


def test_before_anything_is_planned_the_estimate_says_what_to_do(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(project, monkeypatch)
    assert run_command("estimate") == 1
    assert "no partition is planned yet: materialise raw_seeds" in output_of(capsys)


def test_a_wrong_setting_is_reported(planned: SampleProject, capsys: Output) -> None:
    os.environ["MASTER_PROFILE"] = "desktop"  # the fixture's monkeypatch restores it
    assert run_command("estimate") == 1
    assert "MASTER_PROFILE: 'desktop' is neither a file" in output_of(capsys)


def test_a_lake_of_the_old_format_is_used_after_one_command(planned: SampleProject, capsys: Output) -> None:
    lake = planned.folder / "lake"
    for folder in (lake, lake / "_index"):
        (folder / "dialogue_plans").rename(folder / "lesson_plans")
    (lake / "lake.json").write_text('{"format": 1}')
    assert run_command("estimate") == 1
    assert "run `master-dagster migrate-lake` once" in output_of(capsys).replace("\n", " ")
    assert run_command("migrate-lake") == 0
    assert "has format 3; 2 files were moved" in output_of(capsys)
    assert run_command("estimate") == 0


def test_prompts_of_planned_dialogues_are_shown_and_no_model_is_called(planned: SampleProject, capsys: Output) -> None:
    assert run_command("show-prompts", "3") == 0
    shown = output_of(capsys)
    assert re.findall(r"^# (.*), math, seed [0-9a-f]{32}$", shown, re.M) == ["error correction", "debate", "analogy"]
    assert "## teacher, critic_teacher, critic_teacher.txt" in shown
    assert 'What the student wrote:\n"""\n<what student says in attempt>\n"""' in shown
    assert planned.endpoint.requests == []


def test_before_anything_is_planned_no_prompt_can_be_shown(
    project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(project, monkeypatch)
    assert run_command("show-prompts") == 1
    assert "no dialogue is planned yet: materialise raw_seeds" in output_of(capsys)


@pytest.mark.parametrize("arguments", [["--help"], ["try", "--help"]])
def test_help_imports_no_dagster(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom master_dagster.cli.app import app\n"
        "try: app(sys.argv[1:])\nexcept SystemExit: print('dagster' in sys.modules)"
    )
    command = [sys.executable, "-c", program, *arguments]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.endswith("False\n")
