"""Trainers with little patience, an asset that calls one, and what they left behind."""

import contextlib
import os
import time
from collections.abc import Callable
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

from resources.store import Store
from resources.trainers.configuration import Patience, TrainerConfiguration
from resources.trainers.local import LocalJobs
from resources.trainers.place import Place
from resources.trainers.trainer import Trainer
from resources.trainers.work import Work

REPOSITORY = Path(__file__).parents[3]
PROGRAM = "tests.resources.trainers.work_program"
QUICK = Patience(poll_seconds=0.05, retry_seconds=0.01, tries=3)


def work(**specification: Any) -> Work:
    return Work("tiny", "checkpoints/tiny/1", {"steps": 3, **specification}, PROGRAM)


class Jobs:
    """This machine as a place, and what became of its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, **options: Any) -> LocalJobs:
        return LocalJobs(self.folder, **options)

    def processes(self) -> list[psutil.Process]:
        """Those that the tests' jobs started, whoever is their parent by now."""
        mark = str(self.folder)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("MASTER_TEST_JOBS") == mark:
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]


class Runs:
    """Materialises an asset that trains, and keeps what its run logged."""

    def __init__(self, instance: DagsterInstance, store: Store) -> None:
        self.instance = instance
        self.store = store

    def __call__(self, trainer: Trainer, work: Work) -> ExecuteInProcessResult:
        @asset
        def checkpoint(context: AssetExecutionContext) -> MaterializeResult[None]:
            trainer.train(context, work)
            return MaterializeResult()

        return materialize([checkpoint], instance=self.instance, raise_on_error=False)

    def lines(self, result: ExecuteInProcessResult) -> list[str]:
        return [entry.user_message for entry in self.instance.all_logs(result.run_id)]

    def failure(self, result: ExecuteInProcessResult) -> str:
        [event] = [event for event in result.all_events if event.is_step_failure]
        return str(event.step_failure_data.error)


def until(true: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for something that other processes do."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)
    return found


def trainer(store: Store, place: Place, **patience: Any) -> Trainer:
    return Trainer(TrainerConfiguration(patience=QUICK.model_copy(update=patience)), store, place)
