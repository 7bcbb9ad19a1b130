"""The attempts at a piece of work, as its folder in the lake tells of them. Whoever writes a claim first submits."""

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from resources.lake.published_folders import json_bytes
from resources.lake.store import Store
from resources.training_jobs.backend import JobState, JobStatus
from resources.training_jobs.job import CLAIM, END, FAILURE, HEARTBEAT, PARENT, TrainingJob, attempt_folder


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed attempt: one job, submitted by the run that holds the claim."""

    number: int
    folder: str
    job: str  # its name at the place
    where: str  # the place, so that nobody asks another one for it
    run_id: str  # who submits it
    claimed_at: float  # seconds since 1970
    version: str  # of the claim's file


@dataclass(frozen=True, slots=True)
class Parent:
    """The run that keeps a job: its last sign of life."""

    run_id: str
    time: float
    version: str


def newest_attempt(store: Store, folder: str) -> Attempt | None:
    """The attempt of the highest number; None where nobody has tried."""
    found, number = None, 1
    while attempt := _read_claim(store, folder, number):
        found, number = attempt, number + 1
    return found


def _read_claim(store: Store, folder: str, number: int) -> Attempt | None:
    place = attempt_folder(folder, number)
    try:
        data, version = store.get_with_version(f"{place}/{CLAIM}")
    except FileNotFoundError:
        return None
    claim = json.loads(data)
    return Attempt(number, place, claim["job"], claim["where"], claim["run_id"], _seconds(claim["claimed_at"]), version)


def claim_attempt(store: Store, work: TrainingJob, number: int, where: str, run_id: str, now: float) -> Attempt | None:
    """Claim an attempt nobody has claimed yet; None where another run was faster.

    The job's name ends with letters drawn at random: a folder that was removed and made again, or another lake with the
    same work, never meets the jobs of the first.
    """
    job = f"{work.name}-{number}-{secrets.token_hex(3)}"
    content = {"job": job, "where": where, "run_id": run_id, "claimed_at": _moment(now)}
    if not store.put_if_absent(f"{attempt_folder(work.folder, number)}/{CLAIM}", json_bytes(content)):
        return None
    return _read_claim(store, work.folder, number)


def take_over(store: Store, attempt: Attempt, work: TrainingJob, run_id: str, now: float) -> Attempt | None:
    """Claim an attempt whose claimer is gone, under the same job name; None where another run was faster."""
    content = {"job": attempt.job, "where": attempt.where, "run_id": run_id, "claimed_at": _moment(now)}
    if not store.replace_if_unchanged(f"{attempt.folder}/{CLAIM}", json_bytes(content), attempt.version):
        return None
    return _read_claim(store, work.folder, attempt.number)


def still_claimed(store: Store, attempt: Attempt, work: TrainingJob) -> bool:
    """Whether nobody has taken the attempt over meanwhile."""
    return _read_claim(store, work.folder, attempt.number) == attempt


def record_end(store: Store, attempt: Attempt, status: JobStatus) -> None:
    """Note for good how an attempt ended; places forget."""
    store.put_if_absent(f"{attempt.folder}/{END}", json_bytes({"state": status.state, "reason": status.reason}))


def read_end(store: Store, attempt: Attempt) -> JobStatus | None:
    """How an attempt ended; None where that is not known."""
    end = _read(store, attempt, END)
    return JobStatus(JobState(end["state"]), end["reason"]) if end else None


def read_parent(store: Store, attempt: Attempt) -> Parent | None:
    """Which run keeps the job, and when it was last heard of."""
    try:
        data, version = store.get_with_version(f"{attempt.folder}/{PARENT}")
    except FileNotFoundError:
        return None
    content = json.loads(data)
    return Parent(content["run_id"], _seconds(content["time"]), version)


def write_parent(store: Store, attempt: Attempt, run_id: str, now: float, before: Parent | None) -> bool:
    """Keep the job, if still `before` does; say whether it is kept."""
    content = json_bytes({"time": _moment(now), "run_id": run_id})
    return store.replace_if_unchanged(f"{attempt.folder}/{PARENT}", content, before.version if before else None)


def read_heartbeat(store: Store, attempt: Attempt) -> Mapping[str, Any]:
    """The job's last sign of life: `time`, `step`; empty where it gave none."""
    return _read(store, attempt, HEARTBEAT)


def last_heard(store: Store, attempt: Attempt) -> float:
    """When the job last gave a sign of life, or was claimed; seconds since 1970, by its own clock."""
    return max(attempt.claimed_at, _seconds(read_heartbeat(store, attempt).get("time", "")))


def read_failure(store: Store, attempt: Attempt) -> Mapping[str, Any]:
    """The job's own account of its failure: `exit`, `message`, `retryable`; empty where it gave none."""
    return _read(store, attempt, FAILURE)


def _read(store: Store, attempt: Attempt, name: str) -> Mapping[str, Any]:
    """A small JSON object of the attempt's folder; empty where there is none, or none that can be read."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        content = json.loads(store.get(f"{attempt.folder}/{name}"))
        if isinstance(content, dict):
            return content
    return {}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _seconds(moment: str) -> float:
    """Seconds since 1970; 0 where the text is no time."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except (TypeError, ValueError):
        return 0.0
