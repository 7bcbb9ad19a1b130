"""`dagster asset materialize` as people type it, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from master_dagster.definitions import build_definitions
from resources.chat.profile import Role
from tests.fake_endpoint import AnswerRule, FakeEndpoint, SeenRequest
from tests.sample_project import SampleProject, play

PARTITION = "error_correction|sums-0000"
DAGSTER = str(Path(sys.executable).parent / "dagster")
SECONDS = 300  # no command takes so long, on however busy a machine

pytestmark = pytest.mark.end_to_end


@dataclass(frozen=True)
class Shell:
    """A folder with a `.env` of its own, in which commands run."""

    project: SampleProject
    folder: Path
    home: Path  # of the Dagster instance

    def set(self, **settings: str) -> None:
        """Add `MASTER_` settings to the `.env`; the last one of a name counts."""
        lines = [f"MASTER_{name.upper()}={value}\n" for name, value in settings.items()]
        with (self.folder / ".env").open("a") as file:
            file.writelines(lines)

    def start(self, *arguments: str, select: str = "scenario_dialogues,scored_dialogues") -> "subprocess.Popen[str]":
        """Begin to materialise."""
        command = [DAGSTER, "asset", "materialize", "-m", "master_dagster.definitions", "--select", select, *arguments]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "DAGSTER_"))
        }
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def materialise(self, *arguments: str, select: str = "scenario_dialogues,scored_dialogues") -> tuple[int, str]:
        """Exit code, and all that was printed."""
        process = self.start(*arguments, select=select)
        output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output


@pytest.fixture
def shell(planned_project: SampleProject, tmp_path: Path) -> Shell:
    """Seeds and plans are in the lake, and the instance knows the shard."""
    folder, home = tmp_path / "elsewhere", tmp_path / "dagster_home"
    folder.mkdir()
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with DagsterInstance.from_config(str(home)) as instance:
        mirror_shards(planned_project.deployment.lake(), instance)
    (folder / ".env").write_text(f"DAGSTER_HOME={home}\n")
    shell = Shell(planned_project, folder, home)
    settings = planned_project.settings
    shell.set(lake_root=settings.lake_root, seeds=settings.seeds, profile=settings.profile)
    return shell


def keys_of(calls: list[SeenRequest]) -> list[tuple[str, str]]:
    return [(call.model, call.text) for call in calls]


def slow_after(answers: int) -> AnswerRule:
    """The class, of which only the first answers come; the others hang."""
    count = iter(range(10**6))
    return lambda request: play(request) if next(count) < answers else FakeEndpoint.hangs()


def test_a_partition_is_taught_and_scored(shell: Shell) -> None:
    code, output = shell.materialise("--partition", PARTITION)
    assert code == 0, output
    lake = shell.project.deployment.lake()
    assert [record.name for table in (DIALOGUES, SCORED) for record in lake.records(table)] == [PARTITION, PARTITION]


def test_an_unknown_partition_is_told_by_its_name(shell: Shell) -> None:
    code, output = shell.materialise("--partition", "debate|sums-0009")
    assert code != 0
    assert "sums-0009" in output


def test_a_reversed_range_is_told(shell: Shell) -> None:
    code, output = shell.materialise("--partition-range", "debate|sums-0000...error_correction|sums-0000")
    assert code != 0
    assert "give its first key before its last" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_keeps_what_was_paid_for(shell: Shell, number: signal.Signals) -> None:
    endpoint = shell.project.endpoint
    endpoint.answer_with(slow_after(5))
    process = shell.start("--partition", PARTITION)
    endpoint.wait_for(5 + 4, SECONDS)  # four dialogues at a time: five answers came, and four calls hang
    process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0, output
    answered = set(keys_of(endpoint.chats[:5]))
    endpoint.answer_with(play)
    before = len(endpoint.chats)
    code, output = shell.materialise("--partition", PARTITION)
    assert code == 0, output
    assert not answered & set(keys_of(endpoint.chats[before:]))
    dialogues = shell.project.deployment.lake().read(DIALOGUES)
    assert dialogues.filter(pl.col("status") != "complete").is_empty()


def test_after_a_kill_dagsters_record_is_made_to_agree_with_the_lake(shell: Shell) -> None:
    """The first partition of the range is written, the second hangs; nobody could tell Dagster of either."""
    project = shell.project
    project.endpoint.answer_with(
        lambda request: FakeEndpoint.hangs() if request.model == Role.DEBATER_A else play(request)
    )
    process = shell.start("--partition-range", f"{PARTITION}...debate|sums-0000", select="scenario_dialogues")
    lake, deadline = project.deployment.lake(), time.monotonic() + 3 * SECONDS
    while not lake.records(DIALOGUES) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait(SECONDS)
    with DagsterInstance.from_config(str(shell.home)) as instance:
        (run,) = instance.get_runs()
        assert run.status is DagsterRunStatus.STARTED
        definitions = build_definitions(project.deployment)
        assert definitions.resolve_job_def("mirror_lake").execute_in_process(instance=instance).success
        assert instance.get_run_by_id(run.run_id).status is DagsterRunStatus.FAILURE  # type: ignore[union-attr]
        assert instance.get_materialized_partitions(AssetKey("scenario_dialogues")) == {PARTITION}


def test_a_lake_that_cannot_be_written_is_told(shell: Shell) -> None:
    (shell.folder / "file").write_text("no folder")
    shell.set(lake_root=str(shell.folder / "file" / "lake"))
    code, output = shell.materialise("--partition", "sums", select="raw_seeds")
    assert code == 1
    assert "cannot write" in output


def test_a_wrong_key_is_told(shell: Shell) -> None:
    shell.project.endpoint.answer_with(lambda _: FakeEndpoint.fails(401, "Incorrect API key provided"))
    code, output = shell.materialise("--partition", PARTITION)
    assert code == 1
    assert "Incorrect API key provided" in output
