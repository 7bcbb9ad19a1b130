"""Where a training job runs: the few operations that every place offers. One file a place beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

# An image by its content: a name that may move says nothing of what made a checkpoint.
WITH_DIGEST = r"^[^\s@]+@sha256:[0-9a-f]{64}$"


class BackendError(RuntimeError):
    """A place cannot be used. The message names the call that failed, why, and what to do."""


class BackendUnreachable(BackendError):
    """A place does not answer just now. The same call may work in a minute."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a piece of work, as a place runs it.

    Every place starts the trainer's image (this machine: this environment) with `command`; what the work is stands in
    the lake, under the folder that the environment names.
    """

    name: str  # unique in the place for ever: letters, digits and hyphens, at most 63; the same name, the same attempt
    command: tuple[str, ...]  # after the Python interpreter: `-m assets.training_programs.fine_tuning …`
    environment: Mapping[str, str] = field(default_factory=dict)  # no secrets: places show it
    processes: int = 1  # on one node, one a GPU

    @property
    def python_arguments(self) -> tuple[str, ...]:
        """What follows the interpreter: several processes are started by torchrun."""
        if self.processes == 1:
            return self.command
        torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self.processes}")
        return (*torchrun, *self.command)


class JobState(StrEnum):
    """What a place says of a job."""

    WAITING = "waiting"  # submitted, for capacity or its start
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # its own fault: a bad script, out of memory; not worth another try
    STOPPED = "stopped"  # somebody asked for it
    INTERRUPTED = "interrupted"  # spot took the machine back, or the node was lost; another try resumes
    NO_CAPACITY = "no_capacity"  # never started; another try may


# A place may not know yet of a job whose submission it has taken: asked for so long after one whose answer was lost.
LISTED_SECONDS = 60
ENDED = {JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED, JobState.INTERRUPTED, JobState.NO_CAPACITY}
WORTH_ANOTHER_TRY = {JobState.INTERRUPTED, JobState.NO_CAPACITY}


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job's state, and in the place's own words why."""

    state: JobState
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing of the job runs any more."""
        return self.state in ENDED


class Backend(Protocol):
    """A place where jobs run. Every operation is safe to repeat; a network's faults are retried inside."""

    where: str  # which one: this host, this region, this queue; jobs of another one are not asked for
    image: str  # what runs the jobs: the image's address with its digest, or "local"

    def submit(self, job: Job) -> None:
        """Start a job. Nothing happens where one of that name was submitted before.

        Raises:
            BackendError: the place refuses or cannot be reached.
        """
        ...

    def status(self, name: str) -> JobStatus | None:
        """How the job of that name stands; None where the place knows none."""
        ...

    def stop(self, name: str, why: str) -> None:
        """Ask a job to end. Nothing happens where it has ended; `status` tells when it has."""
        ...

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        """The newest lines of the job's output, oldest first; empty where there are none."""
        ...

    def link(self, name: str) -> str | None:
        """Where people look at the job: a console's address; None where there is none."""
        ...
