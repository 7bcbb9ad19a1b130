"""Where a training job runs: the operations of every backend. One module per backend beside this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from resources.lake.store import Store

# An image by its content: a tag may move, and checkpoints record the image that made them.
WITH_DIGEST = r"^[^\s@]+@sha256:[0-9a-f]{64}$"
TORCHRUN = ("-m", "torch.distributed.run")


class BackendError(RuntimeError):
    """A backend cannot be used. The message names the call that failed, why, and what to do."""


class BackendUnreachable(BackendError):
    """A backend does not answer now. The same call may work in a minute."""


@dataclass(frozen=True, slots=True)
class BackendJob:
    """One attempt of a training job, as a backend runs it.

    Every backend starts the trainer's image (this machine: this Python environment) with `command`. The job's input is
    in the lake, in the folder that the environment names.
    """

    name: str  # unique on the backend: letters, digits and hyphens, at most 63; the same name is the same attempt
    command: tuple[str, ...]  # after the Python interpreter: `-m assets.training_programs.fine_tuning …`
    environment: Mapping[str, str] = field(default_factory=dict)  # no secrets: backends show it
    processes: int = 1  # on each node, one per GPU
    nodes: int = 1

    @property
    def python_arguments(self) -> tuple[str, ...]:
        """The arguments of the interpreter on a single node; torchrun starts several processes.

        Raises:
            BackendError: the job wants several nodes.
        """
        if self.nodes > 1:
            raise BackendError(
                f"{self.name} wants {self.nodes} nodes, and this backend runs a job on one: set recipe.nodes to 1, or "
                "take the backend `kubernetes`"
            )
        if self.processes == 1:
            return self.command
        return (*TORCHRUN, "--standalone", f"--nproc-per-node={self.processes}", *self.command)

    def arguments_of_node(self, rank: str, address: str, port: int, seconds: int = 900) -> tuple[str, ...]:
        """The arguments of the interpreter on one of several nodes.

        Args:
            rank: of the node, from 0; also a variable that the backend replaces.
            address: host name of node 0, where the processes meet.
            port: of node 0.
            seconds: for which a node waits for the others.
        """
        meeting = (
            f"--node-rank={rank}",
            f"--master-addr={address}",
            f"--master-port={port}",
            f"--rdzv-conf=timeout={seconds}",
        )
        sizes = (f"--nnodes={self.nodes}", f"--nproc-per-node={self.processes}")
        return (*TORCHRUN, *sizes, *meeting, *self.command)


class JobState(StrEnum):
    """State of a job on its backend."""

    WAITING = "waiting"  # submitted; waits for capacity or starts
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # by its own error: bad input, out of memory; another attempt would fail too
    STOPPED = "stopped"  # on request
    TIMED_OUT = "timed_out"  # its longest time is over; what it saved is kept
    INTERRUPTED = "interrupted"  # by spot or a lost machine; another attempt resumes
    NO_CAPACITY = "no_capacity"  # never started; another attempt may


# A submitted job may be missing from a backend's list for this long.
LISTED_SECONDS = 60
ENDED = {*JobState} - {JobState.WAITING, JobState.RUNNING, JobState.STOPPING}
RETRYABLE = {JobState.INTERRUPTED, JobState.NO_CAPACITY}


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job's state, and the backend's reason for it."""

    state: JobState
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether no process of the job runs any more."""
        return self.state in ENDED

    def __str__(self) -> str:
        return f"{self.state}, {self.reason}" if self.reason else str(self.state)


class Backend(Protocol):
    """A service that runs jobs. Every operation can be repeated safely; network errors are retried inside."""

    name: str  # service and host, region or queue: `sagemaker:eu-central-1`; only its own jobs are asked for
    image: str  # address of the image with its digest, or "local"

    def submit(self, job: BackendJob) -> None:
        """Start a job. Does nothing where a job of that name was submitted before.

        Raises:
            BackendError: the backend refuses or cannot be reached.
        """
        ...

    def status(self, name: str) -> JobStatus | None:
        """State of the job of that name; None where the backend has none."""
        ...

    def stop(self, name: str, why: str) -> None:
        """Ask a job to end; `status` shows when it has. Does nothing where it has ended."""
        ...

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        """The newest lines of the job's output, oldest first; empty where there are none."""
        ...

    def link(self, name: str) -> str | None:
        """The job's log or its page in a console; None where there is none."""
        ...


def require_s3(store: Store, service: str) -> None:
    """Jobs on other machines reach a lake on S3 only.

    Raises:
        BackendError: the lake is on this machine's disk.
    """
    if not store.root.startswith("s3://"):
        raise BackendError(
            f"jobs on {service} cannot read the lake at {store.root}: set MASTER_LAKE_ROOT to s3://bucket/prefix, or "
            "use the trainer configuration `local`"
        )
