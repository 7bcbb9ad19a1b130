"""Supervises one job of the local backend. Run as a script, with the standard library only:

    python -I -S supervisor.py <folder> <grace seconds> <lifeline>

<folder> holds job.json, the command; exit.json is written when no process of the job runs any more. The process that
submitted the job holds the other end of <lifeline> (-1: none), a pipe that the kernel closes however that process ends.
A job is asked to end by SIGTERM to its first process, as containers are, and killed after the grace. Its processes are
found by a variable in their environment, wherever they moved: torchrun gives its workers sessions of their own.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER_VARIABLE = "MASTER_LOCAL_JOB"
PR_SET_PDEATHSIG = 1
ON_REQUEST, PARENT_GONE = "on request", "parent gone"


def supervise(folder: Path, grace: float, lifeline: int) -> None:
    """Start the job; end it when asked to (SIGTERM) or when the lifeline breaks; leave no process behind."""
    signals = _signal_pipe(signal.SIGTERM, signal.SIGCHLD)
    (folder / "supervisor.pid").write_text(str(os.getpid()))
    job = subprocess.Popen(
        json.loads((folder / "job.json").read_bytes())["command"],
        env={**os.environ, FOLDER_VARIABLE: str(folder)},
        start_new_session=True,
        preexec_fn=_end_with_supervisor,
    )
    why: str | None = None
    kill_at: float | None = None
    watched = [signals] if lifeline < 0 else [signals, lifeline]
    while job.poll() is None:
        timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        ready, _, _ = select.select(watched, [], [], timeout)
        reason = ON_REQUEST if signals in ready and signal.SIGTERM in os.read(signals, 64) else None
        if lifeline in ready:
            watched.remove(lifeline)
            reason = reason or PARENT_GONE
        if reason and why is None:
            why, kill_at = reason, time.monotonic() + grace
            (folder / "stopping").touch()
            job.terminate()
        if kill_at is not None and time.monotonic() >= kill_at:
            job.kill()
    kill_processes(folder)
    staged = folder / "exit.json.new"
    staged.write_text(json.dumps({"code": job.returncode, "why": why}))
    staged.rename(folder / "exit.json")


def kill_processes(folder: Path) -> None:
    """SIGKILL every process of the job; return when there is none. Needs /proc, so it does nothing on macOS."""
    mark = f"{FOLDER_VARIABLE}={folder}".encode()
    while pids := [pid for pid in _processes() if mark in _environment(pid)]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _environment(pid: int) -> list[bytes]:
    """The environment that a process began with; empty for a zombie and for other users' processes."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _end_with_supervisor() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _signal_pipe(*signals: int) -> int:
    """The read end of a pipe that gets the numbers of the signals that arrive."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, lambda _number, _frame: None)
    return read


if __name__ == "__main__":
    supervise(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
