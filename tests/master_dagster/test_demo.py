"""What `make demo` says at its end."""

import json
import shutil
from pathlib import Path

import pytest

from master_dagster import demo
from resources.chat.profile import Role
from tests.fake_endpoint import SeenRequest
from tests.school import School, Taught, play

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def at_home(school: School, monkeypatch: pytest.MonkeyPatch) -> School:
    """A persistent instance of its own, and the school's settings in the environment."""
    home = school.folder / "dagster_home"
    home.mkdir()
    shutil.copy(PROJECT / "infra" / "dagster.yaml", home / "dagster.yaml")
    monkeypatch.chdir(school.folder)  # no .env of the project
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    for name in ("lake_root", "seeds", "profile"):
        monkeypatch.setenv(f"MASTER_{name.upper()}", getattr(school.settings, name))
    return school


def strict(request: SeenRequest) -> str:
    if request.model == Role.JUDGE:
        return json.dumps({"reason": "It does not add up.", "error_class": "wrong_step", "correct": False})
    return play(request)


def test_the_best_accepted_dialogue_is_shown(taught: Taught, capsys: pytest.CaptureFixture[str]) -> None:
    demo.show_best(taught.school.deployment.lake())
    shown = capsys.readouterr().out
    assert "The best accepted dialogue" in shown
    assert "teacher:" in shown


def test_where_nothing_is_good_it_says_so_shows_the_best_rejected_and_fails(
    at_home: School, capsys: pytest.CaptureFixture[str]
) -> None:
    at_home.endpoint.answer_with(strict)
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "No dialogue was accepted" in shown
    assert "judged_wrong" in shown
    assert "failed: boost_qa failed" in shown


def test_wrong_settings_are_one_message(
    at_home: School, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTER_PROFILE", "gigantic")
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "MASTER_PROFILE" in shown
    assert "hosted, laptop, paper" in shown
