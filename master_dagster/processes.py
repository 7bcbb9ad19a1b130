"""Runs whose process was killed: nobody tells Dagster of their end, and the queue would wait for them for ever."""

import os
import socket
import subprocess
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

PROCESS_TAG = ".dagster/master_process"  # tags that begin so are not shown in the UI
MACHINES_OWN = "[4026531836]"  # Linux's first process name space
ALIVE = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def this_process() -> str:
    """This process as a tag that no other process ever has: `<host> <pid> <when it began>`."""
    return f"{_host()} {os.getpid()} {_beginning(os.getpid())}"


def end_dead_runs(instance: DagsterInstance) -> list[str]:
    """Report as failed the runs that began on this host and whose process is gone. Gives their ids.

    Runs of other hosts, and those that did not begin yet, are left as they are.
    """
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=ALIVE)):
        if not _is_gone(run.tags.get(PROCESS_TAG, "")):
            continue
        # A process that ended in order told so before it went: only what is still open now has lost its process.
        found = instance.get_run_by_id(run.run_id)
        if found is not None and found.status in ALIVE:
            instance.report_run_failed(found, _obituary(found))
            ended.append(found.run_id)
    return ended


def _obituary(run: DagsterRun) -> str:
    host, pid, _ = run.tags[PROCESS_TAG].split(" ")
    return (
        f"The run's process ({pid} on {host.partition('[')[0]}) is gone: it was killed, or the machine was restarted. "
        "What it had finished stands in the lake, and what it paid for is not paid again: launch the same once more."
    )


def _is_gone(tag: str) -> bool:
    host, _, process = tag.partition(" ") if tag.count(" ") == 2 else ("", "", "")
    if host != _host():
        return False
    pid, _, began = process.partition(" ")
    return _beginning(int(pid)) != began


def _host() -> str:
    """This host, or this container: a process id says nothing outside its name space."""
    try:
        name_space = Path("/proc/self/ns/pid").readlink().name.removeprefix("pid:")
    except OSError:
        name_space = MACHINES_OWN
    return socket.gethostname() + ("" if name_space == MACHINES_OWN else name_space)


def _beginning(pid: int) -> str:
    """When a process began, in a form that only compares; "" where there is none or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().partition("-")[0]
    except OSError:
        if Path("/proc/self").exists():
            return ""
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return "-".join(told.stdout.split())
    zombie = stat[0] in "ZX"
    return "" if zombie else f"{boot}:{stat[19]}"
