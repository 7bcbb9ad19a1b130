"""Launchers with short timeouts, an asset that calls one, and what their jobs left behind."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from dagster import (
    AssetExecutionContext,
    DagsterExecutionInterruptedError,
    DagsterInstance,
    ExecuteInProcessResult,
    MaterializeResult,
    asset,
    materialize,
)

from resources.lake.store import Store
from resources.training_jobs.backend import Backend
from resources.training_jobs.configuration import Timeouts, TrainerConfiguration
from resources.training_jobs.job import TrainingJob
from resources.training_jobs.launcher import JobLauncher
from resources.training_jobs.local import LocalBackend

REPOSITORY = Path(__file__).parents[3]
FOLDER = "checkpoints/tiny/1"
PROGRAM = "tests.resources.training_jobs.job_program"
QUICK = Timeouts(poll_seconds=0.1, retry_seconds=0.01, tries=3)


def job(**specification: Any) -> TrainingJob:
    """A job of `job_program`, of three steps unless said otherwise."""
    return TrainingJob("tiny", FOLDER, {"id": "1", "steps": 3, **specification}, PROGRAM)


def launcher(store: Any, backend: Any, clock: "Clock | None" = None, **timeouts: Any) -> JobLauncher:
    """A launcher with short timeouts."""
    clock = clock or Clock()
    configuration = TrainerConfiguration(timeouts=QUICK.model_copy(update=timeouts))
    return JobLauncher(configuration, store, backend, {}, clock, clock.sleep)


class Clock:
    """Time that tests may let jump, and something to do whenever a launcher would sleep."""

    def __init__(self) -> None:
        self.jumped = 0.0
        self.slept: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> float:
        return time.time() + self.jumped

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.meanwhile()
        time.sleep(min(seconds, 0.1))

    def cancel_once(self, when: Callable[[], bool], first: Callable[[], object]) -> None:
        """Send SIGTERM to this process as soon as `when` holds, after calling `first`."""

        def look() -> None:
            if when():
                self.meanwhile = lambda: None
                first()
                os.kill(os.getpid(), signal.SIGTERM)

        self.meanwhile = look


@dataclass
class Jobs:
    """This machine as a backend, and the processes of its jobs."""

    folder: Path

    def backend(self, **options: Any) -> LocalBackend:
        return LocalBackend(self.folder, **options)

    def processes(self) -> list[psutil.Process]:
        """Those that the tests' jobs started, whatever their parent is by now."""
        mark = str(self.folder)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("MASTER_TEST_JOBS") == mark:
                    found.append(process)
        return found


@dataclass
class World:
    """A backend and a lake that its jobs reach."""

    store: Store
    configuration: dict[str, Any]  # of the backend
    running: Callable[[], Sequence[object]]  # processes of jobs

    @property
    def folder(self) -> Path:
        return Path(self.configuration["folder"])

    @property
    def backend(self) -> Backend:
        """The backend, opened as a run does."""
        return TrainerConfiguration.model_validate({"backend": self.configuration}).backend.open(self.store, False)

    def launcher(self, clock: Clock | None = None, **timeouts: Any) -> JobLauncher:
        """A launcher with a backend of its own."""
        return launcher(self.store, self.backend, clock, **timeouts)

    def progress(self) -> list[int]:
        """The attempt that took each step."""
        files = self.store.list(f"{FOLDER}/progress")
        return [json.loads(self.store.get(file.path))["attempt"] for file in files]

    def has_begun(self) -> bool:
        """Whether a step was taken."""
        return self.store.exists(f"{FOLDER}/progress/0000.json")

    def ends(self) -> list[dict[str, Any]]:
        """How each attempt ended, from the lake."""
        files = self.store.list(f"{FOLDER}/attempts")
        return [json.loads(self.store.get(file.path)) for file in files if file.path.endswith("/end.json")]

    def done(self) -> bool:
        """Whether the result is there."""
        return self.store.exists(f"{FOLDER}/manifest.json")


class Runs:
    """Materialises an asset that runs a training job, and reads what its run logged."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance

    def __call__(self, launcher: JobLauncher, job: TrainingJob) -> ExecuteInProcessResult:
        @asset
        def checkpoint(context: AssetExecutionContext) -> MaterializeResult[None]:
            launcher.run(context, job)
            return MaterializeResult()

        return materialize([checkpoint], instance=self.instance, raise_on_error=False)

    def cancelled(self, launcher: JobLauncher, job: TrainingJob) -> None:
        """The same, for a run that is cancelled."""
        with contextlib.suppress(DagsterExecutionInterruptedError):
            self(launcher, job)

    def lines(self, result: ExecuteInProcessResult) -> list[str]:
        return [entry.user_message for entry in self.instance.all_logs(result.run_id)]

    def failure(self, result: ExecuteInProcessResult) -> str:
        [event] = [event for event in result.all_events if event.is_step_failure]
        return str(event.step_failure_data.error)
