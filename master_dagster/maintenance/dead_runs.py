"""Runs whose process was killed: nothing reports their end to Dagster, and the queue would wait for them for ever.

A process is identified by the name of its host, its number, and the boot and process namespace in which that number
has a meaning. A container that was restarted keeps its host name and gets another namespace, and its earlier runs are
dead. Another container may run under the same host name at the same time, though: a run in another namespace counts as
dead only after it was silent for `SILENCE`, because a living run logs its progress every few seconds.
"""

import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

PROCESS_TAG = ".dagster/master_process"  # the UI does not show tags that begin like this
INITIAL_NAMESPACE = "[4026531836]"  # Linux's process namespace outside containers
SILENCE = timedelta(minutes=30)
STARTED = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def this_process() -> str:
    """A tag that identifies this process for good: `<host> <pid> <boot and namespace>:<start time>`."""
    return f"{socket.gethostname()} {os.getpid()} {_namespace()}:{_start_time(os.getpid())}"


def find_dead_runs(instance: DagsterInstance, now: datetime | None = None) -> list[DagsterRun]:
    """The runs that started on this host and whose process is gone."""
    started = instance.get_runs(RunsFilter(statuses=STARTED))
    return [run for run in started if _is_dead(run, instance, now or datetime.now(UTC))]


def end_dead_runs(instance: DagsterInstance, now: datetime | None = None) -> list[str]:
    """Report as failed the runs of `find_dead_runs`. Returns their ids.

    Runs of other hosts and runs that have not started are left as they are.
    """
    ended = []
    for run in find_dead_runs(instance, now):
        # A process that ended normally reported its end before: read the status again after the process was seen gone.
        found = instance.get_run_by_id(run.run_id)
        if found is not None and found.status in STARTED:
            host, pid, _ = found.tags[PROCESS_TAG].split(" ")
            instance.report_run_failed(
                found,
                f"The run's process ({pid} on {host}) is gone: it was killed, or the machine was restarted. Finished "
                "partitions are in the lake, and paid answers are not paid for again: launch the same run again.",
            )
            ended.append(found.run_id)
    return ended


def as_utc(stored: datetime) -> datetime:
    """A time from the run storage with its zone: SQLite stores UTC without saying so."""
    return stored if stored.tzinfo else stored.replace(tzinfo=UTC)


def _is_dead(run: DagsterRun, instance: DagsterInstance, now: datetime) -> bool:
    tag = run.tags.get(PROCESS_TAG, "").split(" ")
    if len(tag) != 3 or tag[0] != socket.gethostname():
        return False
    here, (namespace, _, start_time) = _namespace(), tag[2].rpartition(":")
    if namespace == here:
        return _start_time(int(tag[1])) != start_time
    in_containers = "[" in namespace or "[" in here
    return not in_containers or now - _last_sign_of_life(run, instance) > SILENCE


def _last_sign_of_life(run: DagsterRun, instance: DagsterInstance) -> datetime:
    """When the run last logged something or changed its status."""
    (record,) = instance.get_run_records(RunsFilter(run_ids=[run.run_id]))
    events = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return max([as_utc(record.update_timestamp), *(datetime.fromtimestamp(event.timestamp, UTC) for event in events)])


def _namespace() -> str:
    """Where process numbers have their present meaning: `<boot>`, in a container `<boot>[<process namespace>]`.

    "" where the system does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().partition("-")[0]
        namespace = Path("/proc/self/ns/pid").readlink().name.removeprefix("pid:")
    except OSError:
        return ""
    return boot + ("" if namespace == INITIAL_NAMESPACE else namespace)


def _start_time(pid: int) -> str:
    """When a process started, in a form that is only compared; "" where there is none or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self").exists():
            return ""
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return "-".join(shown.stdout.replace(":", ".").split())
    zombie = stat[0] in "ZX"
    return "" if zombie else stat[19]
