"""`dagster asset materialize` in a process of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from master_dagster.graph import build_definitions
from tests.fake_endpoint import FakeEndpoint, SeenRequest
from tests.sample_project import SampleProject, journalled_answers, play
from tests.waiting import until

PARTITION = "error_correction|sums-0000"
PROJECT = Path(__file__).parents[2]
SECONDS = 300  # no command takes so long, on however busy a machine

pytestmark = pytest.mark.end_to_end


@dataclass(frozen=True)
class Shell:
    """A folder with a `.env`, in which commands run."""

    project: SampleProject
    folder: Path
    home: Path  # of the Dagster instance

    def set(self, **variables: str) -> None:
        """Add variables to the `.env`, where the last line of a name counts."""
        with (self.folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in variables.items())

    def start(self, *arguments: str, select: str = "scenario_dialogues,scored_dialogues") -> "subprocess.Popen[str]":
        """Start to materialise assets."""
        dagster = str(Path(sys.executable).parent / "dagster")
        command = [dagster, "asset", "materialize", "-m", "master_dagster.definitions", "--select", select, *arguments]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "DAGSTER_"))
        }
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def materialise(self, *arguments: str, select: str = "scenario_dialogues,scored_dialogues") -> tuple[int, str]:
        """Exit code and output."""
        process = self.start(*arguments, select=select)
        output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output


@pytest.fixture
def shell(planned_project: SampleProject, tmp_path: Path) -> Shell:
    """Seeds and plans are in the lake, and the shard is registered in the instance."""
    folder, home = tmp_path / "elsewhere", tmp_path / "dagster_home"
    folder.mkdir()
    home.mkdir()
    shutil.copy(PROJECT / "infra" / "dagster.yaml", home)
    with DagsterInstance.from_config(str(home)) as instance:
        mirror_shards(planned_project.deployment.lake(), instance)
    shell = Shell(planned_project, folder, home)
    shell.set(DAGSTER_HOME=str(home), **planned_project.environment)
    return shell


def requests_of(calls: list[SeenRequest]) -> list[tuple[str, str]]:
    return [(call.model, call.text) for call in calls]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_interrupted_and_repeated_pays_for_no_answer_twice(
    shell: Shell, number: signal.Signals
) -> None:
    endpoint, count = shell.project.endpoint, iter(range(10**6))
    endpoint.answer_with(lambda request: play(request) if next(count) < 5 else FakeEndpoint.hangs())
    process = shell.start("--partition", PARTITION)
    endpoint.wait_for(5 + 4, SECONDS)  # four dialogues at a time: five calls were answered, and four hang
    if number == signal.SIGKILL:  # an answer that is not journalled yet would be lost
        until(lambda: journalled_answers(shell.project.deployment.lake()) == 5)
    process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0, output
    answered = set(requests_of(endpoint.chats[:5]))
    endpoint.answer_with(play)
    before = len(endpoint.chats)
    code, output = shell.materialise("--partition", PARTITION)
    assert code == 0, output
    assert " - DEBUG - " not in output
    for line in (
        "1 of 1 partitions are written; nothing is left",
        f"In {shell.project.folder}",
    ):
        assert line in output
    assert re.search(r"(\d+) of \1 dialogues are accepted", output)
    assert not answered & set(requests_of(endpoint.chats[before:]))
    lake = shell.project.deployment.lake()
    assert [record.name for table in (DIALOGUES, SCORED) for record in lake.records(table)] == [PARTITION, PARTITION]
    assert set(lake.read(DIALOGUES)["status"]) == {"complete"}


def test_after_a_kill_mirror_lake_makes_dagsters_record_agree_with_the_lake(shell: Shell) -> None:
    """The first partition of the range is written, the second hangs; the killed run could report neither."""
    project = shell.project
    project.endpoint.answer_with(
        lambda request: FakeEndpoint.hangs() if request.model == "debater_a" else play(request)
    )
    process = shell.start("--partition-range", f"{PARTITION}...debate|sums-0000", select="scenario_dialogues")
    lake = project.deployment.lake()
    until(lambda: lake.records(DIALOGUES), SECONDS)
    process.kill()
    process.wait(SECONDS)
    with DagsterInstance.from_config(str(shell.home)) as instance:
        (run,) = instance.get_runs()
        assert run.status is DagsterRunStatus.STARTED
        definitions = build_definitions(project.deployment)
        assert definitions.resolve_job_def("mirror_lake").execute_in_process(instance=instance).success
        assert instance.get_run_by_id(run.run_id).status is DagsterRunStatus.FAILURE  # type: ignore[union-attr]
        assert instance.get_materialized_partitions(AssetKey("scenario_dialogues")) == {PARTITION}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--partition", "debate|sums-0009"], "sums-0009"),
        (["--partition-range", "debate|sums-0000...error_correction|sums-0000"], "give its first key before its last"),
        (["--partition", PARTITION], "Incorrect API key provided"),
    ],
    ids=["unknown partition", "reversed range", "wrong key"],
)
def test_an_error_is_reported_with_its_cause(shell: Shell, arguments: list[str], message: str) -> None:
    shell.project.endpoint.answer_with(lambda _: FakeEndpoint.fails(401, "Incorrect API key provided"))
    code, output = shell.materialise(*arguments)
    assert code != 0
    assert message in output


def test_a_lake_that_cannot_be_written_is_reported(shell: Shell) -> None:
    (shell.folder / "file").write_text("no folder")
    shell.set(MASTER_LAKE_ROOT=str(shell.folder / "file" / "lake"))
    code, output = shell.materialise("--partition", "sums", select="raw_seeds")
    assert code == 1
    assert "cannot write" in output
