"""Runs whose process was killed are ended by whoever looks."""

import os
import subprocess
import sys

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from master_dagster.processes import PROCESS_TAG, end_dead_runs, this_process

STARTED = DagsterRunStatus.STARTED


@pytest.fixture(scope="module")
def dead_process() -> str:
    """The tag of a process that has ended."""
    told = "from master_dagster.processes import this_process; print(this_process())"
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
