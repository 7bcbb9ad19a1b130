"""How jobs end when the run that waits for them does: asked to, twice, or killed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resources.trainers.attempts import newest_attempt, read_parent, write_parent
from tests.resources.trainers.launching import REPOSITORY, Runs, World, until, work

FOLDER = "checkpoints/tiny/1"
WAITS: dict[str, Any] = {"behave": [[1, "wait"]], "attempts": [1]}
Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start a run in a process of its own; it has taken a step when this returns."""
    started = []

    def start(world: World, specification: dict[str, Any] = WAITS, **patience: Any) -> "subprocess.Popen[str]":
        given = {
            "root": world.store.root,
            "place": world.configuration,
            "patience": {"poll_seconds": 0.05, "retry_seconds": 0.01, **patience},
            "specification": specification,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.resources.trainers.launch_once", json.dumps(given)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        until(lambda: world.progress() or process.poll() is not None)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_end_stops_its_job_first(local: World, launch: Launch, number: signal.Signals) -> None:
    run = launch(local)
    run.send_signal(number)
    assert run.communicate()[0] == "ended by DagsterExecutionInterruptedError\n"
    assert local.running() == []


def test_a_run_that_is_asked_to_end_stops_its_job_on_aws(aws: World, launch: Launch) -> None:
    run = launch(aws)
    run.send_signal(signal.SIGTERM)
    assert run.communicate()[0] == "ended by DagsterExecutionInterruptedError\n"
    assert aws.running() == []
    assert [end["state"] for end in aws.attempts()] == ["stopped"]


def test_a_second_signal_does_not_cut_the_stopping_short(local: World, launch: Launch) -> None:
    local.configuration["grace_seconds"] = 0.5
    run = launch(local, {**WAITS, "ignores_sigterm": True})
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGINT)
    run.wait()
    assert local.running() == []
    assert [end["state"] for end in local.attempts()] == ["stopped"]


def test_a_stopped_job_goes_on_when_asked_for_again(local: World, launch: Launch, runs: Runs) -> None:
    run = launch(local)
    run.send_signal(signal.SIGTERM)
    run.wait()
    assert runs(local.trainer(), work(**WAITS)).success
    assert local.progress() == [1, 2, 2]


def test_a_run_that_only_joined_leaves_the_job_to_the_run_that_keeps_it(sagemaker: World, launch: Launch) -> None:
    keeper = launch(sagemaker)
    joined = launch(sagemaker)
    joined.send_signal(signal.SIGTERM)
    joined.wait()
    assert len(sagemaker.running()) == 1
    keeper.send_signal(signal.SIGTERM)
    keeper.wait()
    assert sagemaker.running() == []


def test_a_joined_run_keeps_the_job_once_the_first_one_is_gone(batch: World, launch: Launch) -> None:
    first = launch(batch)
    first.kill()
    first.wait()
    attempt = newest_attempt(batch.store, FOLDER)
    assert attempt is not None
    write_parent(batch.store, attempt, "the first", time.time() - 600, read_parent(batch.store, attempt))
    second = launch(batch)
    until(lambda: (parent := read_parent(batch.store, attempt)) and parent.run_id != "the first")
    second.send_signal(signal.SIGTERM)
    second.wait()
    assert batch.running() == []


def test_a_job_on_this_machine_ends_when_dagster_is_killed(local: World, launch: Launch) -> None:
    run = launch(local)
    run.kill()
    run.wait()
    until(lambda: not local.running())


def test_a_detached_job_outlives_dagster(local: World, launch: Launch) -> None:
    run = launch(local, {"steps": 3, "seconds": 0.5}, detached=True)
    run.kill()
    run.wait()
    until(local.done)


def test_a_job_on_aws_ends_itself_when_dagster_is_killed(sagemaker: World, launch: Launch) -> None:
    run = launch(sagemaker, {"steps": 1000, "seconds": 0.1}, orphan_minutes=0.02)
    run.kill()
    run.wait()
    until(lambda: not sagemaker.running())
    assert not sagemaker.done()


def test_a_job_that_ended_as_an_orphan_goes_on_in_the_next_run(sagemaker: World, launch: Launch, runs: Runs) -> None:
    first = launch(sagemaker, {"steps": 12, "seconds": 0.1}, orphan_minutes=0.02)
    first.kill()
    first.wait()
    until(lambda: not sagemaker.running())
    assert runs(sagemaker.trainer(), work(steps=12, seconds=0.1)).success
