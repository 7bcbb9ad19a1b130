"""What the training programs share: their task, how they end, their command line.

Nothing here loads torch: the command line sets the environment first.
"""

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from assets.training_programs.fine_tuning import saving
from assets.training_programs.fine_tuning.errors import CRASHED, DONE, INTERRUPTED, Stop, TrainingProgramError
from assets.training_programs.fine_tuning.heartbeat import Heartbeat
from assets.training_programs.fine_tuning.pipes import Reporter, open_reporter
from resources.configuration import Configuration, describe_faults, fault_list
from resources.lake.opening import open_store
from resources.lake.published_folders import json_bytes
from resources.lake.store import S3Options, Store, StoreError
from resources.scratch import scratch_folder
from resources.training_jobs.job import (
    ATTEMPT,
    FAILURE,
    FOLDER,
    LAKE_ROOT,
    ORPHAN_MINUTES,
    SPECIFICATION,
    attempt_folder,
)

LAST_LINES = 20
Asked = TypeVar("Asked", bound=Configuration)


@dataclass(frozen=True, slots=True)
class Task:
    """What to do, as environment and command line say."""

    store: Store
    folder: str  # of the job, relative to the lake's root
    attempt: int
    orphan_minutes: float | None
    rank: int
    processes: int
    started: float  # time.monotonic()
    local_rank: int = 0  # on its node

    @property
    def attempt_folder(self) -> str:
        """Of this attempt, relative to the lake's root."""
        return attempt_folder(self.folder, self.attempt)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes to the lake."""
        return self.rank == 0


def run_task(task: Task, program: Callable[[Task, Stop, Reporter, Heartbeat | None, Path], None]) -> int:
    """Run a program; returns its exit code. An error is also written to the attempt's failure.json.

    Args:
        task: what to do.
        program: raises TrainingProgramError where the job cannot be done or was asked to end. Its
            last two arguments are the heartbeat, in the first process, and a temporary folder of this machine.
    """
    stop = Stop()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: stop.ask(INTERRUPTED, f"ended by {signal.Signals(number).name}"))
    with ExitStack() as stack:
        reporter, heartbeat = Reporter(aloud=False), None
        try:
            if task.first:
                # SageMaker restarts an interrupted job as the same attempt.
                task.store.delete(f"{task.attempt_folder}/{FAILURE}")
                heartbeat = stack.enter_context(Heartbeat(task.store, task.attempt_folder, stop, task.orphan_minutes))
                reporter = stack.enter_context(open_reporter(task.store))
            scratch = stack.enter_context(scratch_folder("trainer"))
            program(task, stop, reporter, heartbeat, scratch)
        except Exception as error:
            failure = explain(error)
            if failure.exit == CRASHED and not isinstance(error, TrainingProgramError | StoreError):
                traceback.print_exc()
            reporter.complain(failure.message)
            _leave_failure(task, failure)
            return failure.exit
        return DONE


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a program ends without a result: the content of failure.json."""

    exit: int
    message: str
    retryable: bool  # whether another attempt may succeed


def explain(error: Exception) -> Failure:
    """The failure that an error is."""
    if isinstance(error, TrainingProgramError):
        return Failure(error.exit, str(error), error.retryable)
    if type(error).__name__ == "OutOfMemoryError":
        return Failure(
            TrainingProgramError.exit,
            f"out of memory: lower the recipe's batch_size (effective_batch stays) or max_tokens, or turn "
            f"gradient_checkpointing on ({str(error).splitlines()[0]})",
            False,
        )
    if isinstance(error, StoreError):
        return Failure(CRASHED, str(error), True)
    if type(error).__name__ == "DistBackendError" or (isinstance(error, RuntimeError) and "by peer" in str(error)):
        # One that fails by itself writes its reason before it ends.
        return Failure(CRASHED, f"another process of the job was killed or its node was lost ({error})", True)
    lines = "".join(traceback.format_exception(error)).splitlines()[-LAST_LINES:]
    return Failure(CRASHED, "\n".join(lines), saving.is_unreachable(error))


def _leave_failure(task: Task, failure: Failure) -> None:
    """Write failure.json. The first process that fails says why; the others fail because of it."""
    try:
        task.store.put_if_absent(f"{task.attempt_folder}/{FAILURE}", json_bytes(asdict(failure)))
    except Exception as error:
        sys.stderr.write(f"trainer: failure.json cannot be written: {error}\n")


def read_specification(task: Task, form: type[Asked], version: int) -> Asked:
    """Read the job's specification.

    Args:
        task: of the job.
        form: model of the file; it has a field `format`.
        version: the format that this program reads.

    Raises:
        TrainingProgramError: the file is missing or invalid.
    """
    path = f"{task.folder}/{SPECIFICATION}"
    where = task.store.uri(path)
    try:
        content = json.loads(task.store.get(path))
        asked = form.model_validate(content)
    except FileNotFoundError:
        raise TrainingProgramError(f"{where} is missing: the job has no specification") from None
    except json.JSONDecodeError as error:
        raise TrainingProgramError(f"{where} is not JSON: {error}") from None
    except ValidationError as error:
        raise TrainingProgramError(fault_list(f"{where} is not valid:", describe_faults(error, form))) from None
    if content["format"] != version:
        raise TrainingProgramError(
            f"{where} has format {content['format']}, this program reads {version}: use the image that it names"
        )
    return asked


def task_of_command_line(program: str, description: str | None, started: float) -> Task:
    """The task that command line and environment name; sets the environment for the libraries.

    Args:
        program: the module, as `python -m` calls it.
        description: its docstring.
        started: time.monotonic() when the process began.
    """
    environment = os.environ
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument(
        "--lake-root", default=environment.get(LAKE_ROOT), help=f"folder or s3:// prefix (${LAKE_ROOT})"
    )
    parser.add_argument("--folder", default=environment.get(FOLDER), help=f"of the job, below the root (${FOLDER})")
    parser.add_argument("--attempt", type=int, default=int(environment.get(ATTEMPT, "1")), help=f"1, 2, … (${ATTEMPT})")
    options = parser.parse_args()
    for name, given in ((LAKE_ROOT, options.lake_root), (FOLDER, options.folder)):
        if not given:
            parser.error(f"{name} is not set")
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost nine tenths of a busy machine
    environment.setdefault("TQDM_DISABLE", "1")  # progress goes to the log as lines
    if "WORLD_SIZE" not in environment:
        environment.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one process, one GPU
    return task_of(options.lake_root, options.folder, options.attempt, started)


def task_of(root: str, folder: str, attempt: int, started: float) -> Task:
    """The task of this process, with the variables of torchrun and the launcher."""
    minutes = os.environ.get(ORPHAN_MINUTES)
    return Task(
        store=open_store(root, S3Options.from_environment(os.environ)),
        folder=folder.strip("/"),
        attempt=attempt,
        orphan_minutes=float(minutes) if minutes else None,
        rank=int(os.environ.get("RANK", "0")),
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        started=started,
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
    )
