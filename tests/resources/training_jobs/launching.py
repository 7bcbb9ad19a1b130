"""Trainers with little patience, an asset that calls one, and what they left behind."""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from dagster import (
    AssetExecutionContext,
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
PROGRAM = "tests.resources.training_jobs.work_program"
QUICK = Timeouts(poll_seconds=0.1, retry_seconds=0.01, tries=3)


def work(**specification: Any) -> TrainingJob:
    return TrainingJob("tiny", "checkpoints/tiny/1", {"id": "1", "steps": 3, **specification}, PROGRAM)


class Clock:
    """Time that tests may let jump, and something to do whenever a trainer would sleep."""

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


class Jobs:
    """This machine as a place, and what became of its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, **options: Any) -> LocalBackend:
        return LocalBackend(self.folder, **options)

    def processes(self) -> list[psutil.Process]:
        """Those that the tests' jobs started, whoever is their parent by now."""
        mark = str(self.folder)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("MASTER_TEST_JOBS") == mark:
                    found.append(process)
        return found


@dataclass
class World:
    """A place and a lake that its jobs reach."""

    store: Store
    configuration: dict[str, Any]  # of the place
    running: Callable[[], Sequence[object]]  # processes of jobs

    def trainer(self, clock: Clock | None = None, **patience: Any) -> JobLauncher:
        """A trainer as a run opens it."""
        clock = clock or Clock()
        place = TrainerConfiguration.model_validate({"backend": self.configuration}).backend.open(self.store, False)
        return trainer(self.store, place, clock, **patience)

    def progress(self) -> list[int]:
        """The attempt that took each step."""
        files = self.store.list("checkpoints/tiny/1/progress")
        return [json.loads(self.store.get(file.path))["attempt"] for file in files]

    def has_begun(self) -> bool:
        """Whether a step was taken."""
        return self.store.exists("checkpoints/tiny/1/progress/0000.json")

    def attempts(self) -> list[dict[str, Any]]:
        """How each attempt ended, as the lake tells."""
        files = self.store.list("checkpoints/tiny/1/attempts")
        return [json.loads(self.store.get(file.path)) for file in files if file.path.endswith("/end.json")]

    def done(self) -> bool:
        """Whether the result is there."""
        return self.store.exists("checkpoints/tiny/1/manifest.json")


class Runs:
    """Materialises an asset that trains, and keeps what its run logged."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance

    def __call__(self, trainer: JobLauncher, work: TrainingJob) -> ExecuteInProcessResult:
        @asset
        def checkpoint(context: AssetExecutionContext) -> MaterializeResult[None]:
            trainer.run(context, work)
            return MaterializeResult()

        return materialize([checkpoint], instance=self.instance, raise_on_error=False)

    def lines(self, result: ExecuteInProcessResult) -> list[str]:
        return [entry.user_message for entry in self.instance.all_logs(result.run_id)]

    def failure(self, result: ExecuteInProcessResult) -> str:
        [event] = [event for event in result.all_events if event.is_step_failure]
        return str(event.step_failure_data.error)


def trainer(store: Store, place: Backend, clock: Clock | None = None, **patience: Any) -> JobLauncher:
    """A trainer of little patience."""
    clock = clock or Clock()
    configuration = TrainerConfiguration(timeouts=QUICK.model_copy(update=patience))
    return JobLauncher(configuration, store, place, {}, clock, clock.sleep)
