"""How jobs end when the run that waits for them does: asked to, twice, or killed."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from resources.training_jobs.attempts import newest_attempt, read_parent, write_parent
from tests.resources.training_jobs.launch_once import launch_once
from tests.resources.training_jobs.launching import Runs, World, work
from tests.waiting import until

FOLDER = "checkpoints/tiny/1"
WAITS: dict[str, Any] = {"behave": [[1, "wait"]], "attempts": [1]}
# Its server loads Dagster once and forks every run.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.resources.training_jobs.launch_once"])


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    """Started before any test sets its environment: it is none of the jobs' processes."""
    forkserver.ensure_running()


class Run:
    """A run in a process of its own."""

    def __init__(self, said: Path, given: dict[str, Any]) -> None:
        self.said = said
        self.process = PROCESSES.Process(target=launch_once, args=({**given, "said": str(said)},))
        self.process.start()

    def ask_to_end(self, *numbers: int) -> None:
        for number in numbers:
            os.kill(self.process.pid or 0, number)

    def wait(self) -> str:
        """What ended it."""
        self.process.join()
        return self.said.read_text() if self.said.exists() else ""

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


Launch = Callable[..., Run]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a run; its job has taken a step when this returns."""
    started: list[Run] = []

    def start(world: World, specification: dict[str, Any] = WAITS, **patience: Any) -> Run:
        given = {
            "environment": dict(os.environ),
            "root": world.store.root,
            "backend": world.configuration,
            "timeouts": {"poll_seconds": 0.2, "retry_seconds": 0.01, **patience},
            "specification": specification,
        }
        run = Run(tmp_path / f"said-{len(started)}", given)
        started.append(run)
        until(lambda: world.has_begun() or not run.process.is_alive())
        return run

    yield start
    for run in started:
        run.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_end_stops_its_job_first(local: World, launch: Launch, number: signal.Signals) -> None:
    run = launch(local)
    run.ask_to_end(number)
    assert run.wait() == "ended by DagsterExecutionInterruptedError"
    assert local.running() == []


def test_a_run_that_is_asked_to_end_stops_its_job_on_aws(aws: World, launch: Launch) -> None:
    run = launch(aws)
    run.ask_to_end(signal.SIGTERM)
    assert run.wait() == "ended by DagsterExecutionInterruptedError"
    assert aws.running() == []
    assert [end["state"] for end in aws.attempts()] == ["stopped"]


def test_a_second_signal_does_not_cut_the_stopping_short(local: World, launch: Launch) -> None:
    local.configuration["grace_seconds"] = 0.5
    run = launch(local, {**WAITS, "ignores_sigterm": True})
    run.ask_to_end(signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    run.wait()
    assert local.running() == []
    assert [end["state"] for end in local.attempts()] == ["stopped"]


def test_a_stopped_job_goes_on_when_asked_for_again(local: World, launch: Launch, runs: Runs) -> None:
    run = launch(local)
    run.ask_to_end(signal.SIGTERM)
    run.wait()
    assert runs(local.trainer(), work(**WAITS)).success
    assert local.progress() == [1, 2, 2]


def test_a_run_that_only_joined_leaves_the_job_to_the_run_that_keeps_it(sagemaker: World, launch: Launch) -> None:
    keeper = launch(sagemaker)
    joined = launch(sagemaker)
    joined.ask_to_end(signal.SIGTERM)
    joined.wait()
    assert len(sagemaker.running()) == 1
    keeper.ask_to_end(signal.SIGTERM)
    keeper.wait()
    assert sagemaker.running() == []


def test_a_joined_run_keeps_the_job_once_the_first_one_is_gone(batch: World, launch: Launch) -> None:
    first = launch(batch)
    first.kill()
    attempt = newest_attempt(batch.store, FOLDER)
    assert attempt is not None
    write_parent(batch.store, attempt, "the first", time.time() - 600, read_parent(batch.store, attempt))
    second = launch(batch)
    until(lambda: (parent := read_parent(batch.store, attempt)) and parent.run_id != "the first")
    second.ask_to_end(signal.SIGTERM)
    second.wait()
    assert batch.running() == []


def test_a_job_on_this_machine_ends_when_dagster_is_killed(local: World, launch: Launch) -> None:
    run = launch(local)
    run.kill()
    until(lambda: not local.running())


def test_a_detached_job_outlives_dagster(local: World, launch: Launch) -> None:
    run = launch(local, {"steps": 3, "seconds": 0.5}, detached=True)
    run.kill()
    until(local.done)


def test_a_job_on_aws_ends_itself_when_dagster_is_killed(sagemaker: World, launch: Launch) -> None:
    run = launch(sagemaker, {"steps": 1000, "seconds": 0.1}, orphan_minutes=0.02)
    run.kill()
    until(lambda: not sagemaker.running())
    assert not sagemaker.done()
