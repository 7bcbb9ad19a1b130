"""`master-dagster status`."""

import json
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.spending.summary import spent_text
from master_dagster.graph import build_definitions
from master_dagster.maintenance.dead_runs import PROCESS_TAG, this_process
from resources.chat.spending_log import read_spending
from tests.command_line import output_of, run_command, set_environment
from tests.sample_project import FinishedProject, SampleProject

pytestmark = pytest.mark.end_to_end
Output = pytest.CaptureFixture[str]


def status_of(project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> dict[str, Any]:
    """What `status --json` prints about a project."""
    set_environment(project, monkeypatch)
    assert run_command("status", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_finished_lake(finished: FinishedProject, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    status = status_of(finished.project, monkeypatch, capsys)
    lake = finished.project.deployment.lake()
    assert status["seeds"] == [
        {"source": "sums", "seeds": 12, "rejected_rows": 0, "shards": 1, "planned_shards": 1},
    ]
    assert all(
        found == {"current": 1, "missing": 0, "stale": 0, "failed": 0} for found in status["partitions"].values()
    )
    assert {name: one["scored"] for name, one in status["dialogues"].items()} == {
        record.keys["scenario"]: record.rows for record in lake.records(SCORED)
    }
    assert status["rejection_reasons"] == {}
    assert status["spent"]["tokens"] > 0
    assert status["spent"]["cost"] > 0
    recorded = read_spending(lake.store)
    assert sum(one.prompt_tokens + one.completion_tokens for one in recorded) == status["spent"]["tokens"]
    assert "judge" in {one.role for one in recorded} and all(one.run for one in recorded)
    assert sum(status["release"]["rows"].values()) == 12
    scored = {name: one["scored"] for name, one in status["dialogues"].items()}
    assert status["training_sets"].pop("dpo") > scored["debate"]
    assert status["training_sets"] == {
        "kto": 12 + scored["analogy"],  # an analogy closes with two answers
        "critique": scored["error_correction"],
        "rlvr": 12,
    }
    assert (status["checkpoints"], status["scores"]) == (
        [f"{finished.project.deployment.training.bases[0].name}|untuned"],
        [],
    )
    assert (status["due"]["partitions"], status["due"]["dialogues"]) == (0, 0)


def test_it_is_shown_with_the_next_command(
    finished: FinishedProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished.project, monkeypatch)
    assert run_command("status") == 0
    shown = output_of(capsys)
    for part in (
        "Seeds of sums: 12",
        "error correction",
        "Spent: ",
        "Runs in progress: none",
        "verifiable questions (rlvr)",
    ):
        assert part in shown
    assert shown.endswith("Next: master-dagster open\n")
    assert "Due: " not in shown


def test_planned_partitions_are_due(
    planned_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(planned_project, monkeypatch)
    assert run_command("status") == 0
    shown = output_of(capsys)
    assert "Due: 12 dialogues in 3 partitions" in shown
    assert "Release: none" in shown
    assert shown.endswith("Next: master-dagster run\n")
    assert planned_project.endpoint.requests == []


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        ({}, "1,000 tokens, $2.50"),
        ({"hours": 1.26}, "1,000 tokens, 1.3 hours of machines, $2.50"),
        ({"cost_per_accepted": 0.25}, "1,000 tokens, $2.50, $0.2500 per accepted dialogue"),
        ({"cached_share": 0.5}, "1,000 tokens, $2.50, 50% of the prompt tokens from the provider's cache"),
    ],
)
def test_one_line_says_what_was_paid(spent: dict[str, float], expected: str) -> None:
    usual = {"tokens": 1000, "hours": 0.0, "cost": 2.5, "cost_per_accepted": None, "cached_share": None}
    assert spent_text(usual | spent) == expected


def test_an_empty_lake(project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    status = status_of(project, monkeypatch, capsys)
    assert (status["partitions"], status["dialogues"], status["release"], status["due"]) == ({}, {}, None, None)
    assert not (project.folder / "lake").exists()
    assert run_command("status") == 0


def test_failed_and_stale_partitions(
    finished_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    lake = finished_project.deployment.lake()
    first, second = lake.records(DIALOGUES)[:2]
    lake.write(DIALOGUES, first.keys, lake.read(DIALOGUES, [first.keys]), fingerprint=first.fingerprint, gate="failed")
    lake.write(DIALOGUES, second.keys, lake.read(DIALOGUES, [second.keys]), fingerprint="of other prompts")
    status = status_of(finished_project, monkeypatch, capsys)
    assert status["failed"] == [first.name]
    assert status["partitions"][first.keys["scenario"]]["failed"] == 1
    assert status["partitions"][second.keys["scenario"]]["stale"] == 1
    assert status["due"]["partitions"] == 2


def test_runs_in_progress_dead_and_failed(
    planned_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(planned_project, monkeypatch)
    job = build_definitions(planned_project.deployment).resolve_job_def("mirror_lake")
    gone = this_process().rpartition(":")[0] + ":0"
    with DagsterInstance.get() as instance:
        names = [
            instance.create_run_for_job(job, status=status, tags={PROCESS_TAG: process}).run_id
            for status, process in (
                (DagsterRunStatus.STARTED, this_process()),
                (DagsterRunStatus.STARTED, gone),
                (DagsterRunStatus.FAILURE, this_process()),
            )
        ]
    assert run_command("status", "--json") == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [one["run"] for one in runs["in_progress"]] == names[:1]
    assert (runs["dead"], runs["failed"]) == (names[1:2], names[2:])
    assert run_command("status") == 0
    assert f"Runs whose process is gone: {names[1]}" in output_of(capsys)


def test_without_an_instance_the_lake_is_shown(
    finished: FinishedProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished.project, monkeypatch)
    monkeypatch.delenv("DAGSTER_HOME")
    assert run_command("status") == 0
    assert "DAGSTER_HOME is not set" in output_of(capsys)
