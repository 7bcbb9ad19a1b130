"""`master-dagster run`, which is also `make demo`."""

import os
import re
import signal

import pytest
import yaml

from master_dagster import batches
from resources import progress
from tests.batch_project import put_in_batches
from tests.batch_server import BatchServer
from tests.command_line import Terminal, output_of, run_command, set_environment
from tests.fake_endpoint import SeenRequest
from tests.hub_server import HubServer
from tests.sample_project import SampleProject, play
from tests.stand_in_judge import answer_rubric

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def configured(project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    """The project, with its settings and an instance of its own in the environment."""
    set_environment(project, monkeypatch)
    return project


def test_where_every_dialogue_is_rejected_the_best_one_is_shown_and_the_run_fails(
    configured: SampleProject, capsys: pytest.CaptureFixture[str]
) -> None:
    def reject(request: SeenRequest) -> str:
        if request.model == "judge":
            return answer_rubric(request.body, "It does not add up.", steps_sound="no")
        return play(request)

    configured.endpoint.answer_with(reject)
    assert run_command("run", "--yes") == 1
    shown = output_of(capsys)
    assert "No dialogue was accepted" in shown
    assert "Reasons of rejection, by number of dialogues: wrong_step 12" in shown
    assert "boost_qa failed" in shown


def test_without_a_terminal_each_step_prints_its_start_and_end_and_a_long_one_its_progress(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("LOG_EVERY_SECONDS", "REPORT_EVERY_SECONDS"):
        monkeypatch.setattr(progress, name, 0)  # otherwise once a minute
    assert run_command("run", "--yes") == 0
    lines = [line.strip() for line in capfd.readouterr().out.splitlines()]
    assert any(re.match(r"It gives \d+ preference pairs \(dpo\), \d+ labelled answers", line) for line in lines)
    steps = ["raw_seeds, seed_embeddings", "dialogue_plans", "scenario_dialogues, scored_dialogues", "boost_qa"]
    steps.append("training_sets")
    for step in steps:
        start = next(number for number, line in enumerate(lines) if line.startswith(step) and line.endswith("…"))
        end = next(number for number, line in enumerate(lines) if line.startswith(f"done {step}"))
        assert (end > start + 1) == step.startswith("scenario_dialogues")


def test_with_roles_in_batches_it_waits_for_them_and_goes_on_to_the_release(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batches, "POLL_SECONDS", 0.05)
    server = BatchServer(configured.endpoint)
    server.start()
    put_in_batches(configured, server)
    assert run_command("run", "--yes") == 0
    server.stop()
    shown = output_of(capsys)
    assert "if all calls were live), 1 minute for the live calls, and up to a day for each turn in batches" in shown
    assert "waits scenario_dialogues, scored_dialogues" in shown
    assert "3 batches with 12 requests are open, the oldest since" in shown
    assert "The release: " in shown
    assert server.live == []


def test_wrong_settings_are_one_message(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTER_PROFILE", "gigantic")
    assert run_command("run", "--yes") == 1
    shown = output_of(capsys)
    assert "MASTER_PROFILE" in shown
    assert "hosted, laptop, openrouter, paper" in shown


def test_without_yes_and_without_a_terminal_no_dialogue_is_generated(
    configured: SampleProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("run") == 1
    shown = output_of(capsys)
    assert "12 dialogues in 3 partitions" in shown
    assert "give --yes" in shown
    assert {request.path for request in configured.endpoint.requests} == {"/v1/embeddings"}


def test_the_question_before_dialogues_are_generated_is_answered_with_no(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run_command("run") == 0
    assert "Stopped before the next step." in output_of(capsys)
    assert {request.path for request in configured.endpoint.requests} == {"/v1/embeddings"}


def test_ctrl_c_ends_with_one_line_and_the_same_command_continues(
    configured: SampleProject, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = []

    def interrupt(request: SeenRequest) -> str:
        if len(configured.endpoint.requests) > 10 and not interrupted:
            interrupted.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return play(request)

    configured.endpoint.answer_with(interrupt)
    assert run_command("run", "--yes") == 130
    shown = output_of(capsys)
    assert "Stopped. The same command continues." in shown
    assert "Traceback" not in shown
    assert run_command("run", "--yes") == 0


def test_without_an_instance_the_message_names_the_variable(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    assert run_command("run", "--yes") == 1
    shown = output_of(capsys)
    assert "Write DAGSTER_HOME=" in shown
    assert "Traceback" not in shown


def test_a_run_that_fails_before_its_first_step_names_the_cause(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = yaml.safe_load((configured.folder / "profile.yaml").read_text())
    profile["endpoints"]["vectors"] = {**profile["endpoints"]["fake"], "api_key_env": "KEY_OF_THE_EMBEDDER"}
    profile["embedder"]["endpoint"] = "vectors"
    (configured.folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    monkeypatch.delenv("KEY_OF_THE_EMBEDDER", raising=False)
    assert run_command("run", "--yes") == 1
    assert "KEY_OF_THE_EMBEDDER" in output_of(capsys)


def test_publish_pushes_the_release_to_the_hub_where_a_repository_is_named(
    configured: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("run", "--yes") == 0
    assert run_command("publish", "--hub") == 1
    assert "set MASTER_HUB_REPOSITORY=namespace/name" in output_of(capsys)
    server = HubServer()
    hub = {"MASTER_HUB_REPOSITORY": "team/own", "HF_TOKEN": "hf_writes_here", "HF_ENDPOINT": server.address}
    for name, value in hub.items():
        monkeypatch.setenv(name, value)
    assert run_command("publish", "--hub") == 0
    server.stop()
    assert f"On the hub: {server.address}/datasets/team/own" in output_of(capsys)
    assert len(server.repositories["dataset", "team/own"].tags) == 1
