"""Runs whose process was killed are reported as failed."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, ResourceParam, job, op

from master_dagster.maintenance.dead_runs import PROCESS_TAG, SILENCE, end_dead_runs, this_process
from master_dagster.resources import LakeResource
from resources.lake.tables import Lake

LATER = datetime.now(UTC) + SILENCE + timedelta(days=1)  # after the duration of the tests before this one
STARTED = DagsterRunStatus.STARTED
CONTAINER, MACHINE = "0a0b0c0d[4026532000]", "0a0b0c0d"


@pytest.fixture(scope="module")
def dead_process() -> str:
    """The tag of a process that has ended."""
    program = "from master_dagster.maintenance.dead_runs import this_process; print(this_process())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def add_run(instance: DagsterInstance, process: str | None, status: DagsterRunStatus = STARTED) -> str:
    tags = {PROCESS_TAG: process} if process else {}
    return instance.add_run(DagsterRun(job_name="any", status=status, tags=tags)).run_id


def in_namespace(namespace: str) -> str:
    """The tag of a living process with the name of this host, in another namespace."""
    host, pid, rest = this_process().split(" ")
    return f"{host} {pid} {namespace}:{rest.rpartition(':')[2]}"


def test_a_run_whose_process_is_gone_is_reported_as_failed_with_what_to_do(
    instance: DagsterInstance, dead_process: str
) -> None:
    run = add_run(instance, dead_process)
    assert end_dead_runs(instance) == [run]
    assert instance.get_run_by_id(run).status is DagsterRunStatus.FAILURE  # type: ignore[union-attr]
    assert "launch the same run again" in " ".join(str(log.message) for log in instance.all_logs(run))


def test_another_process_that_got_the_same_number_does_not_count(instance: DagsterInstance) -> None:
    run = add_run(instance, f"{this_process()}0")
    assert end_dead_runs(instance) == [run]


@pytest.mark.parametrize("namespace", [CONTAINER, MACHINE])
def test_a_silent_run_from_before_this_host_restarted_is_ended(instance: DagsterInstance, namespace: str) -> None:
    run = add_run(instance, in_namespace(namespace))
    assert end_dead_runs(instance, LATER) == [run]


def test_a_run_of_another_container_with_the_same_host_name_is_left_while_it_logs(instance: DagsterInstance) -> None:
    run = add_run(instance, in_namespace(CONTAINER))
    assert end_dead_runs(instance) == []
    found = instance.get_run_by_id(run)
    assert found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: LATER.timestamp())
        instance.report_engine_event("progress", found)
    assert end_dead_runs(instance, LATER) == []


def test_living_runs_are_left_and_so_are_runs_of_other_hosts_and_runs_without_a_process(
    instance: DagsterInstance, dead_process: str
) -> None:
    for process in (this_process(), f"another-{dead_process}", None, "", "nonsense"):
        add_run(instance, process)
    assert end_dead_runs(instance) == []


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.SUCCESS])
def test_runs_that_wait_or_have_ended_are_left(
    instance: DagsterInstance, dead_process: str, status: DagsterRunStatus
) -> None:
    add_run(instance, dead_process, status)
    assert end_dead_runs(instance) == []


def test_the_tag_of_a_process_has_its_number_and_its_start_time() -> None:
    _, pid, start = this_process().split(" ")
    assert (int(pid), bool(start)) == (os.getpid(), True)


def test_the_next_run_of_the_lake_ends_the_dead_ones_and_itself_does_not_end(
    instance: DagsterInstance, dead_process: str, tmp_path: Path
) -> None:
    dead = add_run(instance, dead_process)

    @op
    def use(lake: ResourceParam[Lake]) -> None:
        assert lake.store.root == str(tmp_path)

    @job(resource_defs={"lake": LakeResource(root=str(tmp_path))})
    def any_job() -> None:
        use()

    assert any_job.execute_in_process(instance=instance).success
    assert instance.get_run_by_id(dead).status is DagsterRunStatus.FAILURE  # type: ignore[union-attr]
