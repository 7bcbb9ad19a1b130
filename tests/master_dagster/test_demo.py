"""What `make demo` prints."""

import shutil
from pathlib import Path

import pytest

from master_dagster import demo
from resources import progress
from tests.fake_endpoint import SeenRequest
from tests.sample_project import FinishedProject, SampleProject, play
from tests.stand_in_judge import answer_rubric

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def configured(project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    """The project, with its settings and an instance of its own in the environment."""
    home = project.folder / "dagster_home"
    home.mkdir()
    shutil.copy(PROJECT / "infra" / "dagster.yaml", home / "dagster.yaml")
    monkeypatch.chdir(project.folder)  # without the .env of this repository
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project


def test_the_best_accepted_dialogue_is_shown(finished: FinishedProject, capsys: pytest.CaptureFixture[str]) -> None:
    demo.show_best(finished.project.deployment.lake())
    shown = capsys.readouterr().out
    assert "The best accepted dialogue" in shown
    assert "teacher:" in shown


def test_where_every_dialogue_is_rejected_the_best_one_is_shown_and_the_demo_fails(
    configured: SampleProject, capsys: pytest.CaptureFixture[str]
) -> None:
    def reject(request: SeenRequest) -> str:
        if request.model == "judge":
            return answer_rubric(request.body, "It does not add up.", steps_sound="no")
        return play(request)

    configured.endpoint.answer_with(reject)
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "No dialogue was accepted" in shown
    assert "wrong_step" in shown
    assert "failed: boost_qa failed" in shown


def test_without_a_terminal_each_step_prints_its_start_and_end_and_a_long_one_its_progress(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("LOG_EVERY_SECONDS", "REPORT_EVERY_SECONDS"):
        monkeypatch.setattr(progress, name, 0)  # otherwise once a minute
    assert demo.main() == 0
    lines = [line.strip() for line in capfd.readouterr().out.splitlines()]
    steps = ["raw_seeds, seed_embeddings", "dialogue_plans", "scenario_dialogues, scored_dialogues", "boost_qa"]
    for step in steps:
        start = next(number for number, line in enumerate(lines) if line.startswith(step) and line.endswith("…"))
        end = next(number for number, line in enumerate(lines) if line.startswith(f"done {step}"))
        assert (end > start + 1) == step.startswith("scenario_dialogues")


def test_wrong_settings_are_one_message(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTER_PROFILE", "gigantic")
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "MASTER_PROFILE" in shown
    assert "hosted, laptop, paper" in shown
