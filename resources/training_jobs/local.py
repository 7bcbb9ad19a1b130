"""This machine as a place: a supervisor of its own for every job (see `supervisor`), found again by a lock file."""

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from resources.configuration import Configuration
from resources.lake.store import Store
from resources.training_jobs import supervisor
from resources.training_jobs.backend import Backend, BackendError, Job, JobState, JobStatus
from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

KEPT_DAYS = 30
LOCK_TRIES = 200


class LocalConfiguration(Configuration):
    """This machine, its GPU where there is one, in this Python environment."""

    kind: Literal["local"] = Field(default="local", description="This machine.")
    grace_seconds: float = Field(default=20, ge=0, description="Between SIGTERM and SIGKILL when a job is stopped.")
    folder: Path | None = Field(
        default=None,
        description="Where logs and exit codes of jobs are kept; $XDG_STATE_HOME/master-dagster/jobs unless set.",
    )

    def open(self, store: Store, detached: bool) -> Backend:
        """The place. `detached`: its jobs outlive the Dagster process that started them."""
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        folder = self.folder.expanduser() if self.folder else state / "master-dagster" / "jobs"
        return LocalBackend(folder, self.grace_seconds, detached)


class LocalBackend:
    """Jobs as processes. One folder each: job.json, lock, log, and at the end exit.json."""

    image = "local"

    def __init__(self, folder: Path, grace_seconds: float = 20, detached: bool = False) -> None:
        self.where = f"local:{socket.gethostname()}"
        self.folder = folder
        self.grace_seconds = grace_seconds
        self.detached = detached
        self._started: dict[str, tuple[subprocess.Popen[bytes], int | None]] = {}

    def submit(self, job: Job) -> None:
        folder = self.folder / job.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_old()
            with _locked(folder) as lock:
                if lock is not None and not (folder / "job.json").exists():
                    self._start(job, folder, lock)
        except OSError as error:
            raise BackendError(
                f"cannot start {job.name} on this machine: {error}; its files belong in {folder}: make that writable, "
                "or set backend.folder in the trainer's configuration"
            ) from error

    def _start(self, job: Job, folder: Path, lock: int) -> None:
        content = {"command": [sys.executable, *job.python_arguments], "submitted_at": time.time()}
        staged = folder / "job.json.new"
        staged.write_text(json.dumps(content))
        staged.rename(folder / "job.json")
        lifeline, held = (None, None) if self.detached else os.pipe()
        inherited = [lock] if lifeline is None else [lock, lifeline]
        arguments = [str(folder), str(self.grace_seconds), str(lock), str(-1 if lifeline is None else lifeline)]
        try:
            with (folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", supervisor.__file__, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=inherited,
                    start_new_session=True,
                    env={**os.environ, **job.environment},
                )
            (folder / "keeper.json").write_text(json.dumps({"pid": process.pid}))
        finally:
            if lifeline is not None:
                os.close(lifeline)
        self._started[job.name] = (process, held)

    def status(self, name: str) -> JobStatus | None:
        folder = self.folder / name
        if not (folder / "job.json").exists():
            return None
        if _is_locked(folder):
            stopping = (folder / "stop.json").exists()
            return JobStatus(JobState.STOPPING if stopping else JobState.RUNNING)
        self._let_go(name)
        return _ended(_read(folder / "exit.json"))

    def stop(self, name: str, why: str) -> None:
        folder = self.folder / name
        if not (folder / "job.json").exists() or not _is_locked(folder):
            return
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.kill(_read(folder / "keeper.json")["pid"], signal.SIGTERM)

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        try:
            with (self.folder / name / "log").open(errors="replace") as log:
                return [line.rstrip("\n") for line in deque(log, maxlen=count)]
        except FileNotFoundError:
            return []

    def link(self, name: str) -> str | None:
        return str(self.folder / name / "log")

    def _let_go(self, name: str) -> None:
        """Of an ended job: reap the supervisor, close the lifeline."""
        process, held = self._started.pop(name, (None, None))
        if process is not None:
            process.wait()
        if held is not None:
            os.close(held)

    def _remove_old(self) -> None:
        """Logs of jobs that ended long ago."""
        for end in self.folder.glob("*/exit.json"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - end.stat().st_mtime > KEPT_DAYS * 86400:
                    shutil.rmtree(end.parent)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """The job's lock, open and held; None where the job, or whoever submits it, holds it."""
    with (folder / "lock").open("w") as lock:
        for _ in range(LOCK_TRIES):
            if (folder / "job.json").exists():
                break
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)  # another submits it, or looks
            else:
                yield lock.fileno()
                return
        yield None


def _is_locked(folder: Path) -> bool:
    with (folder / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _ended(end: dict[str, Any]) -> JobStatus:
    code, why = end.get("code"), end.get("why", supervisor.LOST)
    if code == 0:
        return JobStatus(JobState.SUCCEEDED)
    if why == supervisor.ASKED:
        return JobStatus(JobState.STOPPED, "it was asked to end")
    if why == supervisor.PARENT_GONE:
        return JobStatus(JobState.INTERRUPTED, "the Dagster process that had started it was gone")
    if why == supervisor.LOST or code is None:
        return JobStatus(JobState.INTERRUPTED, "its supervisor was killed, or the machine restarted")
    if code in (EXIT_INTERRUPTED, EXIT_ORPHANED):
        return JobStatus(JobState.INTERRUPTED, f"it ended itself (exit code {code})")
    if code < 0:
        killed = signal.Signals(-code).name
        hint = ", as the kernel does when memory runs out" if killed == "SIGKILL" else ""
        return JobStatus(JobState.FAILED, f"killed by {killed}{hint}")
    return JobStatus(JobState.FAILED, f"exit code {code}")


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return content
