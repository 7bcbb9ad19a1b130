"""How jobs end when the run that waits for them is cancelled or killed."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from resources.training_jobs.attempts import Parent, open_attempt
from tests.resources.training_jobs.launch_once import launch_once
from tests.resources.training_jobs.launching import Runs, World, job
from tests.waiting import until

WAITS: dict[str, Any] = {"behave": [[1, "wait"]], "attempts": [1]}
# Its server loads Dagster once and forks every run.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.resources.training_jobs.launch_once"])


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    """Started before any test sets its environment, so that it does not look like a job's process."""
    forkserver.ensure_running()


class Run:
    """A run in a process of its own."""

    def __init__(self, outcome: Path, given: dict[str, Any]) -> None:
        self.outcome = outcome
        self.process = PROCESSES.Process(target=launch_once, args=({**given, "outcome": str(outcome)},))
        self.process.start()

    def cancel(self, *numbers: int) -> str:
        """Send signals, and return what ended the run."""
        for number in numbers or [signal.SIGTERM]:
            os.kill(self.process.pid or 0, number)
        self.process.join()
        return self.outcome.read_text() if self.outcome.exists() else ""

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


Launch = Callable[..., Run]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a run; its job has taken a step when this returns."""
    started: list[Run] = []

    def start(world: World, specification: dict[str, Any] = WAITS, **timeouts: Any) -> Run:
        given = {
            "environment": dict(os.environ),
            "root": world.store.root,
            "backend": world.configuration,
            "timeouts": {"poll_seconds": 0.2, "retry_seconds": 0.01, **timeouts},
            "specification": specification,
        }
        run = Run(tmp_path / f"outcome-{len(started)}", given)
        started.append(run)
        until(lambda: world.has_begun() or not run.process.is_alive())
        return run

    yield start
    for run in started:
        run.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_run_stops_its_job_first(world: World, launch: Launch, number: signal.Signals) -> None:
    assert launch(world).cancel(number) == "DagsterExecutionInterruptedError"
    assert list(world.running()) == []
    assert [end["state"] for end in world.ends()] == ["stopped"]


def test_later_signals_do_not_interrupt_the_stopping(local: World, launch: Launch) -> None:
    local.configuration["grace_seconds"] = 0.5
    launch(local, {**WAITS, "ignores_sigterm": True}).cancel(signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    assert local.running() == []
    assert [end["state"] for end in local.ends()] == ["stopped"]


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_the_next_run_resumes_the_job_of_a_run_that_ended(local: World, launch: Launch, runs: Runs, how: str) -> None:
    getattr(launch(local), how)()
    assert runs(local.launcher(), job(**WAITS)).success
    assert local.progress() == [1, 2, 2]


def test_the_next_run_joins_a_job_on_aws_whose_run_was_killed(aws: World, launch: Launch, runs: Runs) -> None:
    launch(aws, {"steps": 8, "seconds": 0.2}).kill()
    assert runs(aws.launcher(), job(steps=8, seconds=0.2)).success
    assert aws.progress() == [1] * 8


def test_a_run_that_only_joined_does_not_stop_the_job(sagemaker: World, launch: Launch) -> None:
    first, joined = launch(sagemaker), launch(sagemaker)
    joined.cancel()
    assert len(sagemaker.running()) == 1
    first.cancel()
    assert sagemaker.running() == []


def test_a_joined_run_stops_the_job_once_the_first_run_is_gone(batch: World, launch: Launch) -> None:
    launch(batch).kill()
    attempt = open_attempt(batch.store, job(), batch.backend.name, "", 0)
    attempt.write_parent(Parent("the first", time.time() - 600))
    second = launch(batch)
    until(lambda: attempt.parent().run_id != "the first")
    second.cancel()
    assert batch.running() == []


def test_a_job_on_this_machine_ends_when_dagster_is_killed(local: World, launch: Launch) -> None:
    launch(local).kill()
    until(lambda: not local.running())


def test_a_detached_job_outlives_dagster(local: World, launch: Launch) -> None:
    launch(local, {"steps": 3, "seconds": 0.5}, detached=True).kill()
    until(local.done)


def test_a_job_on_aws_ends_itself_when_dagster_is_killed(sagemaker: World, launch: Launch) -> None:
    launch(sagemaker, {"steps": 1000, "seconds": 0.1}, orphan_minutes=0.02).kill()
    until(lambda: not sagemaker.running())
    assert not sagemaker.done()
