"""Runs whose process was killed: nobody tells Dagster of their end, and the queue would wait for them for ever.

A process is known by its host's name, its number, and its place: the boot and the name space in which that number
means something. A container that was started again has its host's name and another place, and the runs of its earlier
life are gone. So may have another container that lives beside it under the same name, though: only what has been
silent for `SILENCE` counts as gone there, for a run that lives tells of its progress every few seconds.
"""

import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

PROCESS_TAG = ".dagster/master_process"  # tags that begin so are not shown in the UI
MACHINES_OWN = "[4026531836]"  # Linux's first process name space
SILENCE = timedelta(minutes=30)
ALIVE = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def this_process() -> str:
    """This process as a tag that no other process ever has: `<host> <pid> <place>:<when it began>`."""
    return f"{socket.gethostname()} {os.getpid()} {_place()}:{_beginning(os.getpid())}"


def end_dead_runs(instance: DagsterInstance, now: datetime | None = None) -> list[str]:
    """Report as failed the runs that began on this host and whose process is gone. Gives their ids.

    Runs of other hosts, and those that did not begin yet, are left as they are.
    """
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=ALIVE)):
        if not _is_gone(run, instance, now or datetime.now(UTC)):
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
        f"The run's process ({pid} on {host}) is gone: it was killed, or the machine was restarted. "
        "What it had finished stands in the lake, and what it paid for is not paid again: launch the same once more."
    )


def _is_gone(run: DagsterRun, instance: DagsterInstance, now: datetime) -> bool:
    tag = run.tags.get(PROCESS_TAG, "")
    if tag.count(" ") != 2:
        return False
    host, pid, told = tag.split(" ")
    if host != socket.gethostname():
        return False
    here, (place, _, began) = _place(), told.rpartition(":")
    if place == here:
        return _beginning(int(pid)) != began
    in_containers = "[" in place or "[" in here
    return not in_containers or now - _last_heard_of(run, instance) > SILENCE


def _last_heard_of(run: DagsterRun, instance: DagsterInstance) -> datetime:
    """When the run logged something last, or changed."""
    (record,) = instance.get_run_records(RunsFilter(run_ids=[run.run_id]))
    changed = record.update_timestamp
    heard = changed if changed.tzinfo else changed.replace(tzinfo=UTC)  # SQLite keeps UTC and forgets to say so
    for event in instance.get_records_for_run(run.run_id, limit=1, ascending=False).records:
        heard = max(heard, datetime.fromtimestamp(event.timestamp, UTC))
    return heard


def _place() -> str:
    """Where process numbers mean what they mean here: `<boot>`, in a container `<boot>[<its name space>]`.

    "" where the system does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().partition("-")[0]
        name_space = Path("/proc/self/ns/pid").readlink().name.removeprefix("pid:")
    except OSError:
        return ""
    return boot + ("" if name_space == MACHINES_OWN else name_space)


def _beginning(pid: int) -> str:
    """When a process began, in a form that only compares; "" where there is none or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self").exists():
            return ""
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return "-".join(told.stdout.replace(":", ".").split())
    zombie = stat[0] in "ZX"
    return "" if zombie else stat[19]
