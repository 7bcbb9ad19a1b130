"""The attempts of a training job, as files in the lake. The run that writes `launched.json` submits."""

import contextlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from resources.lake.published_folders import json_bytes
from resources.lake.store import Store
from resources.training_jobs.backend import JobState, JobStatus
from resources.training_jobs.job import END, FAILURE, HEARTBEAT, LAUNCHED, PARENT, TrainingJob, attempt_folder

READERS = 16  # files that are read at once


@dataclass(frozen=True, slots=True)
class Parent:
    """The run that waits for a job, with the time of its last sign of life."""

    run_id: str
    time: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a job. Its methods read and write the small files of its folder."""

    store: Store
    folder: str
    name: str  # of the job on its backend
    backend: str  # its name; no other backend is asked for the job
    launched: Parent  # the run that submits it

    def record_end(self, status: JobStatus) -> None:
        """Record how the attempt ended; backends forget. The first record counts."""
        self.store.put_if_absent(f"{self.folder}/{END}", json_bytes({"state": status.state, "reason": status.reason}))

    def end(self) -> JobStatus | None:
        """How the attempt ended; None where that is not known."""
        end = self._read(END)
        return JobStatus(JobState(end["state"]), end["reason"]) if end else None

    def parent(self) -> Parent:
        """The run that waits for the job: at first the one that launched it."""
        parent = self._read(PARENT)
        return Parent(parent["run_id"], _seconds(parent["time"])) if parent else self.launched

    def write_parent(self, parent: Parent) -> None:
        """Record that a run waits for the job."""
        self.store.put(
            f"{self.folder}/{PARENT}", json_bytes({"run_id": parent.run_id, "time": _timestamp(parent.time)})
        )

    def heartbeat(self) -> Mapping[str, Any]:
        """The job's last sign of life: `time`, `step`; empty where there is none."""
        return self._read(HEARTBEAT)

    def last_heard(self) -> float:
        """When the job gave its last sign of life or was launched, by its own clock; seconds since 1970."""
        return max(self.launched.time, _seconds(self.heartbeat().get("time", "")))

    def failure(self) -> Mapping[str, Any]:
        """The job's own report of its failure: `exit`, `message`, `retryable`; empty where there is none."""
        return self._read(FAILURE)

    def _read(self, name: str) -> Mapping[str, Any]:
        return _read_object(self.store, f"{self.folder}/{name}")


@dataclass(frozen=True, slots=True)
class AttemptTime:
    """When the machines of an attempt worked, in seconds since 1970."""

    name: str  # of the job on its backend, which is the same once the folder was deleted, with the time of its launch
    folder: str  # of the job
    run_id: str  # that launched it
    start: float  # of its program
    end: float  # its last sign of life
    usd_per_hour: float | None  # price of its machines


def read_attempt_times(store: Store, home: str) -> list[AttemptTime]:
    """When the attempts of all jobs below the folder `home` ran, without those that never gave a sign of life or whose
    files are damaged.

    Raises:
        StoreError: the lake cannot be read.
    """

    def read(folder: str) -> AttemptTime | None:
        launched = _read_object(store, f"{folder}/{LAUNCHED}")
        heartbeat = _read_object(store, f"{folder}/{HEARTBEAT}")
        launch, end = _seconds(launched.get("time", "")), _seconds(heartbeat.get("time", ""))
        # programs of earlier versions do not report their seconds
        start = end - heartbeat["seconds"] if "seconds" in heartbeat else launch
        if not launch or not 0 < start < end:
            return None
        name, job = f"{launched['job']}-{launch:.0f}", folder.rsplit("/", 2)[0]
        return AttemptTime(name, job, launched["run_id"], start, end, launched.get("usd_per_hour"))

    folders = [file.path.removesuffix(f"/{HEARTBEAT}") for file in store.list(home) if file.path.endswith(HEARTBEAT)]
    with ThreadPoolExecutor(READERS) as readers:
        return [found for found in readers.map(read, folders) if found]


def open_attempt(
    store: Store, job: TrainingJob, backend: str, run_id: str, now: float, usd_per_hour: float | None = None
) -> Attempt:
    """The first attempt without a recorded end. Where no run has launched it, this run does: see `Attempt.launched`.

    Args:
        store: the lake.
        job: the job.
        backend: name of the backend of this run.
        run_id: this run.
        now: seconds since 1970.
        usd_per_hour: price of its machines, for the record of what was paid.
    """
    number = 1
    while store.exists(f"{attempt_folder(job.folder, number)}/{END}"):
        number += 1
    path = f"{attempt_folder(job.folder, number)}/{LAUNCHED}"
    name = job.attempt_name(store.root, number)
    content = {
        "job": name,
        "backend": backend,
        "run_id": run_id,
        "time": _timestamp(now),
        "attempt": number,
        "usd_per_hour": usd_per_hour,
    }
    store.put_if_absent(path, json_bytes(content))
    launched = json.loads(store.get(path))
    parent = Parent(launched["run_id"], _seconds(launched["time"]))
    return Attempt(store, attempt_folder(job.folder, number), launched["job"], launched["backend"], parent)


def _read_object(store: Store, path: str) -> Mapping[str, Any]:
    """A small JSON object; empty where there is none or it cannot be parsed."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        content = json.loads(store.get(path))
        if isinstance(content, dict):
            return content
    return {}


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _seconds(timestamp: str) -> float:
    """Seconds since 1970; 0 where the text is no time."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except (TypeError, ValueError):
        return 0.0
