"""Runs whose process was killed are ended by whoever looks."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from master_dagster.maintenance.dead_runs import PROCESS_TAG, SILENCE, end_dead_runs, this_process

LATER = datetime.now(UTC) + SILENCE + timedelta(days=1)  # after whatever the tests before this one took
STARTED = DagsterRunStatus.STARTED


@pytest.fixture(scope="module")
def dead_process() -> str:
    """The tag of a process that has ended."""
    told = "from master_dagster.maintenance.dead_runs import this_process; print(this_process())"
    return subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.strip()


def add_run(instance: DagsterInstance, status: DagsterRunStatus, process: str | None) -> str:
    tags = {PROCESS_TAG: process} if process else {}
    return instance.add_run(DagsterRun(job_name="any", status=status, tags=tags)).run_id


def test_a_run_whose_process_is_gone_is_reported_as_failed(instance: DagsterInstance, dead_process: str) -> None:
    run = add_run(instance, STARTED, dead_process)
    assert end_dead_runs(instance) == [run]
    assert instance.get_run_by_id(run).status is DagsterRunStatus.FAILURE  # type: ignore[union-attr]


def test_it_is_said_what_to_do(instance: DagsterInstance, dead_process: str) -> None:
    run = add_run(instance, STARTED, dead_process)
    end_dead_runs(instance)
    assert "launch the same once more" in [log.message for log in instance.all_logs(run)][-1]


def test_a_run_whose_process_lives_is_left(instance: DagsterInstance) -> None:
    add_run(instance, STARTED, this_process())
    assert end_dead_runs(instance) == []


def test_a_process_that_took_over_the_number_is_another_one(instance: DagsterInstance) -> None:
    host, pid, began = this_process().split(" ")
    run = add_run(instance, STARTED, f"{host} {pid} {began}0")
    assert end_dead_runs(instance) == [run]


def elsewhere(place: str) -> str:
    """The tag of a living process under this host's name, in another place."""
    host, pid, told = this_process().split(" ")
    return f"{host} {pid} {place}:{told.rpartition(':')[2]}"


@pytest.mark.parametrize("place", ["0a0b0c0d[4026532000]", "0a0b0c0d"], ids=["of a container", "of the machine"])
def test_a_silent_run_of_an_earlier_life_of_this_host_is_gone(instance: DagsterInstance, place: str) -> None:
    """Whatever process has its number now."""
    run = add_run(instance, STARTED, elsewhere(place))
    assert end_dead_runs(instance, LATER) == [run]


def test_a_run_of_another_container_of_this_name_is_left_while_it_is_heard_of(instance: DagsterInstance) -> None:
    add_run(instance, STARTED, elsewhere("0a0b0c0d[4026532000]"))
    assert end_dead_runs(instance) == []


def test_what_a_run_logged_is_heard(instance: DagsterInstance) -> None:
    run = add_run(instance, STARTED, elsewhere("0a0b0c0d[4026532000]"))
    found = instance.get_run_by_id(run)
    assert found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: LATER.timestamp())
        instance.report_engine_event("going on", found)
    assert end_dead_runs(instance, LATER) == []


def test_runs_of_other_hosts_are_left(instance: DagsterInstance, dead_process: str) -> None:
    add_run(instance, STARTED, f"another-{dead_process}")
    assert end_dead_runs(instance) == []


@pytest.mark.parametrize("process", [None, "", "nonsense"])
def test_runs_that_tell_no_process_are_left(instance: DagsterInstance, process: str | None) -> None:
    add_run(instance, STARTED, process)
    assert end_dead_runs(instance) == []


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.SUCCESS])
def test_runs_that_wait_or_have_ended_are_left(
    instance: DagsterInstance, dead_process: str, status: DagsterRunStatus
) -> None:
    add_run(instance, status, dead_process)
    assert end_dead_runs(instance) == []


def test_a_process_is_told_by_host_number_and_beginning() -> None:
    _, pid, began = this_process().split(" ")
    assert (int(pid), bool(began)) == (os.getpid(), True)
