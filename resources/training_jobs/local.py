"""This machine as a backend: one supervisor process per job (see `supervisor`), found again by a lock file."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from resources.configuration import Configuration
from resources.lake.store import Store
from resources.training_jobs import supervisor
from resources.training_jobs.backend import Backend, BackendError, BackendJob, JobState, JobStatus
from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

KEPT_DAYS = 30
TRAINING_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate")  # of the extra `train`


class LocalConfiguration(Configuration):
    """This machine, its GPU where there is one, in this Python environment."""

    several_nodes: ClassVar[bool] = False
    kind: Literal["local"] = Field(default="local", description="This machine.")
    grace_seconds: float = Field(default=20, ge=0, description="Between SIGTERM and SIGKILL when a job is stopped.")
    folder: Path | None = Field(
        default=None,
        description="Where logs and exit codes of jobs are kept; $XDG_STATE_HOME/master-dagster/jobs unless set.",
    )

    def open(self, store: Store, detached: bool) -> Backend:
        """The backend. `detached`: its jobs outlive the Dagster process that started them."""
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        folder = self.folder.expanduser() if self.folder else state / "master-dagster" / "jobs"
        return LocalBackend(folder, self.grace_seconds, detached)


class LocalBackend:
    """Jobs as processes. One folder each: job.json, lock (held while the job runs), log, and at the end exit.json."""

    image = "local"

    def __init__(self, folder: Path, grace_seconds: float = 20, detached: bool = False) -> None:
        self.name = f"local:{socket.gethostname()}"
        self.folder = folder
        self.grace_seconds = grace_seconds
        self.detached = detached
        self._started: dict[str, tuple[subprocess.Popen[bytes], int]] = {}

    def submit(self, job: BackendJob) -> None:
        if missing := [package for package in TRAINING_PACKAGES if find_spec(package) is None]:
            raise BackendError(
                f"training on this machine needs packages that are not installed ({', '.join(missing)}): "
                "`make install-training`, or `pip install 'master-dagster[train]'`"
            )
        folder = self.folder / job.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "submit.lock").open("w") as submitting:
                fcntl.flock(submitting, fcntl.LOCK_EX)
                self._remove_old()
                if not (folder / "job.json").exists():
                    self._start(job, folder)
        except OSError as error:
            raise BackendError(
                f"cannot start {job.name} on this machine: {error}; its files belong in {folder}: make that writable, "
                "or set backend.folder in the trainer's configuration"
            ) from error

    def _start(self, job: BackendJob, folder: Path) -> None:
        lifeline, kept = (-1, -1) if self.detached else os.pipe()
        try:
            with (folder / "lock").open("w") as lock, (folder / "log").open("ab") as log:
                fcntl.flock(lock, fcntl.LOCK_EX)  # before job.json: whoever sees that sees the job run
                staged = folder / "job.json.new"
                staged.write_text(json.dumps({"command": [sys.executable, *job.python_arguments]}))
                staged.rename(folder / "job.json")
                arguments = [str(folder), str(self.grace_seconds), str(lifeline)]
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", supervisor.__file__, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[lock.fileno()] if lifeline < 0 else [lock.fileno(), lifeline],
                    start_new_session=True,
                    env={**os.environ, **job.environment},
                )
        finally:
            if lifeline >= 0:
                os.close(lifeline)
        self._started[job.name] = (process, kept)

    def status(self, name: str) -> JobStatus | None:
        folder = self.folder / name
        if not (folder / "job.json").exists():
            return None
        if _is_locked(folder):
            return JobStatus(JobState.STOPPING if (folder / "stopping").exists() else JobState.RUNNING)
        if name in self._started:
            process, kept = self._started.pop(name)
            process.wait()
            if kept >= 0:
                os.close(kept)
        if not (folder / "exit.json").exists():
            supervisor.kill_processes(folder)
            return JobStatus(JobState.INTERRUPTED, "its supervisor was killed, or the machine restarted")
        end = json.loads((folder / "exit.json").read_bytes())
        return _ended(end["code"], end["why"])

    def stop(self, name: str, why: str) -> None:
        folder = self.folder / name
        if (folder / "job.json").exists() and _is_locked(folder):
            with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):  # it starts or ends just now
                os.kill(int((folder / "supervisor.pid").read_text()), signal.SIGTERM)

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        try:
            with (self.folder / name / "log").open(errors="replace") as log:
                return [line.rstrip("\n") for line in deque(log, maxlen=count)]
        except FileNotFoundError:
            return []

    def link(self, name: str) -> str | None:
        return str(self.folder / name / "log")

    def _remove_old(self) -> None:
        """Remove the folders of jobs that ended long ago."""
        for end in self.folder.glob("*/exit.json"):
            if time.time() - end.stat().st_mtime > KEPT_DAYS * 86400:
                shutil.rmtree(end.parent)


def _is_locked(folder: Path) -> bool:
    with (folder / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _ended(code: int, why: str | None) -> JobStatus:
    if code == 0:
        return JobStatus(JobState.SUCCEEDED)
    if why == supervisor.ON_REQUEST:
        return JobStatus(JobState.STOPPED, "on request")
    if why == supervisor.PARENT_GONE:
        return JobStatus(JobState.INTERRUPTED, "the Dagster process that started it ended")
    if code in (EXIT_INTERRUPTED, EXIT_ORPHANED):
        return JobStatus(JobState.INTERRUPTED, f"it ended itself (exit code {code})")
    if code < 0:
        killed = signal.Signals(-code).name
        hint = ", as the kernel does when memory runs out" if killed == "SIGKILL" else ""
        return JobStatus(JobState.FAILED, f"killed by {killed}{hint}")
    return JobStatus(JobState.FAILED, f"exit code {code}")
