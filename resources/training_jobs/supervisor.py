"""Keeps one job of the local place. Run as a script, with the standard library alone:

    python -I -S supervisor.py <folder> <grace seconds> <lock> <lifeline>

The job's Dagster process holds the other end of the lifeline (-1: none), a pipe that the kernel closes however that
process ends. `lock` is an open, locked file: the lock is held while anything of the job may run.

    Dagster --lifeline--> keeper --> runner --> the job, a session of its own

Keeper and runner are each the other's insurance: orphans fall to the next of them upwards (PR_SET_CHILD_SUBREAPER), so
whichever is left when the other is killed ends all that is below it, torchrun's workers with their own sessions
included. A job is asked to end by SIGTERM to its first process, as containers are, and killed after the grace.
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
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ASKED, PARENT_GONE, LOST = "asked", "parent gone", "lost"


def keep(folder: Path, grace: float, lock: int, lifeline: int) -> None:
    """Start the runner; end it when asked to (SIGTERM) or when the lifeline breaks; leave nothing behind."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken = _wake_on(signal.SIGTERM, signal.SIGCHLD)
    keeper = os.getpid()
    runner = os.fork()
    if runner == 0:
        run(folder, grace, keeper, lock, lifeline)
    watched = [woken] if lifeline < 0 else [woken, lifeline]
    while not os.waitpid(runner, os.WNOHANG)[0]:
        ready, _, _ = select.select(watched, [], [])
        if woken in ready and signal.SIGTERM in os.read(woken, 64):
            _note(folder / "stop.json", {"why": ASKED})
            os.kill(runner, signal.SIGTERM)
        if lifeline in ready and not os.read(lifeline, 64):
            watched.remove(lifeline)
            _note(folder / "stop.json", {"why": PARENT_GONE})
            os.kill(runner, signal.SIGTERM)
    end_all_below(grace)
    _note(folder / "exit.json", {"code": None, "why": LOST})


def run(folder: Path, grace: float, keeper: int, lock: int, lifeline: int) -> NoReturn:
    """Start the job and wait for it; what it leaves behind is killed."""
    try:
        if lifeline >= 0:
            os.close(lifeline)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        woken = _wake_on(signal.SIGTERM, signal.SIGCHLD)
        command = json.loads((folder / "job.json").read_bytes())["command"]
        with (folder / "log").open("ab") as log:
            job = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGTERM),  # should both be killed at once
            )
        kill_at: float | None = None
        while job.poll() is None:
            if kill_at is None and os.getppid() != keeper:  # killed before PR_SET_PDEATHSIG was set
                os.kill(os.getpid(), signal.SIGTERM)
            wait = None if kill_at is None else max(0.0, kill_at - time.monotonic())
            ready, _, _ = select.select([woken], [], [], wait)
            if ready and signal.SIGTERM in os.read(woken, 64) and kill_at is None:
                _note(folder / "stop.json", {"why": LOST})  # the keeper died; else its own reason stands there
                kill_at = time.monotonic() + grace
                job.terminate()
            if kill_at is not None and time.monotonic() >= kill_at:
                job.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(job.pid, signal.SIGKILL)
        end_all_below(0)
        why = json.loads((folder / "stop.json").read_bytes())["why"] if (folder / "stop.json").exists() else None
        _note(folder / "exit.json", {"code": job.returncode, "why": why})
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(0)  # the interpreter is the keeper's, forked: nothing of it is to be cleaned up twice


def end_all_below(grace: float) -> None:
    """SIGTERM to every process below this one, SIGKILL to what is left after `grace` seconds; return when none is."""
    until = time.monotonic() + grace
    asked: set[int] = set()
    while below := _below(os.getpid()):
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                if time.monotonic() >= until:
                    os.kill(pid, signal.SIGKILL)
                elif pid not in asked:
                    asked.add(pid)
                    os.kill(pid, signal.SIGTERM)
        _reap()
        time.sleep(0.02)


def _below(pid: int) -> set[int]:
    """Every process that descends from `pid`, itself not; zombies do not count. Empty where there is no /proc."""
    parents = dict(_parents())
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                yield int(entry.parent.name), int(parent)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _wake_on(*signals: int) -> int:
    """A pipe's end that becomes readable with the numbers of the signals that arrive."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, lambda _number, _frame: None)
    return read


def _note(path: Path, content: object) -> None:
    """Write a small file whole, unless one is there: the first account stands."""
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_text(json.dumps(content))
    with contextlib.suppress(FileExistsError):
        os.link(staged, path)
    staged.unlink()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
