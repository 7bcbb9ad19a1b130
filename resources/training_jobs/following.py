"""Follows one attempt of a training job from its submission to its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resources.lake.published_folders import MANIFEST
from resources.lake.store import StoreError
from resources.training_jobs.attempts import Attempt, Parent
from resources.training_jobs.backend import (
    LISTED_SECONDS,
    Backend,
    BackendError,
    BackendJob,
    BackendUnreachable,
    JobState,
    JobStatus,
)
from resources.training_jobs.configuration import Timeouts
from resources.training_jobs.job import HEARTBEAT_SECONDS, TrainingJob
from resources.training_jobs.pipes import LakeMessageReader

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

PARENT_GONE_SECONDS = 4 * HEARTBEAT_SECONDS
LAUNCHER_GONE_SECONDS = 120  # no run needs so long between `launched.json` and the submission
STOP_SECONDS = 840  # less than the 900 that infra/ gives a run to end


@dataclass
class Follower:
    """One run's view of one attempt. A run joins an attempt that another run launched in the same way."""

    context: "AssetExecutionContext"
    job: TrainingJob
    attempt: Attempt
    backend: Backend
    timeouts: Timeouts
    clock: Callable[[], float]  # seconds since 1970
    sleep: Callable[[float], None]
    tried: bool = False  # this run sent a submission, answered or not
    submitted: bool = False  # this run's submission was accepted
    is_parent: bool = False  # this run is the one that the job and other runs see waiting
    parent_checked_at: float = 0.0
    state: JobState | None = None
    heartbeat: Mapping[str, Any] = field(default_factory=dict)
    heard_at: float | None = None
    missing_since: float | None = None
    unreachable_since: float | None = None

    def follow(self, launched: BackendJob, reader: LakeMessageReader) -> JobStatus:
        """Submit the job where that is this run's part, and wait for its end.

        Args:
            launched: what is submitted.
            reader: passes the job's messages on to the run's log.

        Raises:
            BackendError: the backend refuses, or cannot be reached for longer than `silent_minutes`.
            StoreError: the lake cannot be reached for as long.
        """
        from dagster import DagsterExecutionInterruptedError

        if not self._launches:
            self.log(f"joined; run {self.attempt.launched.run_id} launched it")
        try:
            while True:
                try:
                    status = self._look(launched, reader)
                    self.unreachable_since = None
                    if status is not None and status.ended:
                        return status
                except (StoreError, BackendUnreachable) as error:
                    self._tolerate(error)
                self.sleep(self.timeouts.poll_seconds)
        except (DagsterExecutionInterruptedError, KeyboardInterrupt):
            self._stop_for_end_of_run()
            raise

    def status(self) -> JobStatus | None:
        """State of the attempt: from its backend, or for a job of another backend from its folder in the lake."""
        failure = self.attempt.failure()
        if self._here:
            status = self.backend.status(self.attempt.name)
            if status is not None and status.state is JobState.FAILED and failure.get("retryable") is True:
                return JobStatus(JobState.INTERRUPTED, status.reason)
            if status is not None and status.state is JobState.STOPPED:
                return self.attempt.end() or status  # another run knows why it stopped the job
            return status
        if self.attempt.store.exists(f"{self.job.folder}/{MANIFEST}"):
            return JobStatus(JobState.SUCCEEDED)
        if end := self.attempt.end():
            return end
        if failure:
            state = JobState.INTERRUPTED if failure.get("retryable") is True else JobState.FAILED
            return JobStatus(state, f"exit code {failure.get('exit')} on {self.attempt.backend}")
        if self.clock() - self.attempt.last_heard() > self._silence:
            return JobStatus(JobState.INTERRUPTED, f"on {self.attempt.backend}, without a recent heartbeat")
        return JobStatus(JobState.RUNNING, f"on {self.attempt.backend}, according to its heartbeat")

    def account(self, status: JobStatus) -> str:
        """Why the attempt ended, in the words of the backend and of the job, with its last lines."""
        message = str(self.attempt.failure().get("message") or "")
        parts = [f"{self.attempt.name}: {status}"]
        if status.state is JobState.SUCCEEDED:
            parts = [
                f"{self.attempt.name} succeeded, but left no {MANIFEST} in {self.attempt.store.uri(self.job.folder)}"
            ]
        if status.state is JobState.STOPPED:
            parts.append("It was stopped on request; materialise again to continue from its last checkpoint")
        if message:
            parts.append(message)
        if self._here and (link := self.backend.link(self.attempt.name)):
            parts.append(f"See {link}")
        lines = _without(message, self._last_lines())
        return "\n".join([". ".join(parts), *([" last lines of the job:", *lines] if lines else [])])

    def log(self, text: str, urgent: bool = False) -> None:
        """Write a line to the run's log."""
        (self.context.log.warning if urgent else self.context.log.info)(f"{self.attempt.name}: {text}")

    @property
    def _here(self) -> bool:
        """Whether this run's backend runs the attempt."""
        return self.attempt.backend == self.backend.name

    @property
    def _launches(self) -> bool:
        """Whether submitting the attempt is this run's part."""
        return self.attempt.launched.run_id == self.context.run.run_id

    @property
    def _silence(self) -> float:
        return self.timeouts.silent_minutes * 60

    # -- while it runs ---------------------------------------------------------------------------------------------

    def _look(self, launched: BackendJob, reader: LakeMessageReader) -> JobStatus | None:
        """Its state now; None where the backend has no such job, which is then submitted where it should be."""
        self._show_parent()
        if self._launches and not self.submitted:
            return self._submit(launched)
        reader.read()
        status = self.status()
        if status is None:
            return self._missing(launched)
        self.missing_since = None
        if status.state != self.state:
            self.state = status.state
            self.log(str(status))
        if status.state is not JobState.RUNNING:
            self.heard_at = None  # a backend may start a job again after hours
        elif self.is_parent and self._here and self._is_silent():
            return self._end_silent()
        return status

    def _submit(self, launched: BackendJob) -> JobStatus | None:
        """Submit the job under its name, which makes it one job however many runs do this."""
        if end := self.attempt.end():  # another run cancelled it meanwhile
            return end
        self.tried = True
        try:
            self.backend.submit(launched)
        except BackendUnreachable:
            raise
        except BackendError as error:
            self.attempt.record_end(JobStatus(JobState.FAILED, f"it was refused: {error}"))
            raise
        self.submitted = True
        link = self.backend.link(self.attempt.name)
        self.log(f"submitted to {self.backend.name}" + (f": {link}" if link else ""))
        return None

    def _missing(self, launched: BackendJob) -> JobStatus | None:
        """The backend has no such job: its run is about to submit it, or has died; or the backend has forgotten it."""
        now = self.clock()
        if self.missing_since is None:
            self.missing_since = now
        if self.submitted:
            if now - self.missing_since > self._silence:
                return JobStatus(JobState.INTERRUPTED, f"{self.backend.name} has no such job any more")
        elif now - self.attempt.launched.time > LAUNCHER_GONE_SECONDS:
            self.log("the run that launched it has not submitted it; submitting it")
            return self._submit(launched)
        return None

    def _show_parent(self) -> None:
        """Record that a run waits for the job: this run, or the parent of before where that is alive."""
        now, run_id = self.clock(), self.context.run.run_id
        if now - self.parent_checked_at < HEARTBEAT_SECONDS:
            return
        parent = self.attempt.parent()
        self.is_parent = parent.run_id == run_id or now - parent.time > PARENT_GONE_SECONDS
        if self.is_parent:
            self.attempt.write_parent(Parent(run_id, now))
        self.parent_checked_at = now

    def _is_silent(self) -> bool:
        """Whether a running job has given no sign of life for too long."""
        heartbeat, now = self.attempt.heartbeat(), self.clock()
        if self.heard_at is None or heartbeat != self.heartbeat:
            self.heartbeat, self.heard_at = heartbeat, now
        return now - self.heard_at > self._silence

    def _tolerate(self, error: Exception) -> None:
        """The lake or the backend does not answer: logged once, tolerated for as long as a silent job."""
        now = self.clock()
        if self.unreachable_since is None:
            self.unreachable_since = now
            self.log(f"trying again until it answers: {error}", urgent=True)
        if now - self.unreachable_since > self._silence:
            raise error

    # -- endings ---------------------------------------------------------------------------------------------------

    def _end_silent(self) -> JobStatus:
        described = JobStatus(JobState.INTERRUPTED, f"no heartbeat for {self.timeouts.silent_minutes:g} minutes")
        self.log(self.account(described), urgent=True)
        self._stop(described.reason)
        return described

    def _stop_for_end_of_run(self) -> None:
        """Stop the job because Dagster ends this run, unless another run waits for it. The lake is written last."""
        if not self._here:
            return
        if other := self._other_parent():
            self.log(f"not stopped, because {other} waits for it too")
            return
        self.log("stopping it, because this run ends")
        status = self._stop(f"run {self.context.run.run_id} ends") or JobStatus(JobState.STOPPED, "never submitted")
        self.log(str(status))
        try:
            self.attempt.record_end(status)
        except StoreError as error:
            self.log(f"its end is not recorded: {error}", urgent=True)

    def _other_parent(self) -> str | None:
        """Another run that waits for the job. The parent need not ask the lake, which may be unreachable."""
        if self.is_parent:
            return None
        try:
            parent = self.attempt.parent()
        except StoreError as error:
            return f"perhaps another run ({error})"
        other = parent.run_id != self.context.run.run_id and self.clock() - parent.time <= PARENT_GONE_SECONDS
        return f"run {parent.run_id}" if other else None

    def _stop(self, why: str) -> JobStatus | None:
        """Ask the job to end and wait until it has; None where the backend has no such job."""
        began = self.clock()
        while True:
            try:
                self.backend.stop(self.attempt.name, why)
                status = self.backend.status(self.attempt.name)
                if status is None and not (self.tried and self.clock() - began < LISTED_SECONDS):
                    return None
                if status is not None and status.ended:
                    return status
            except BackendUnreachable as error:
                self.log(f"not stopped yet: {error}", urgent=True)
            if self.clock() - began > STOP_SECONDS:
                raise BackendError(
                    f"{self.attempt.name} did not end within {STOP_SECONDS // 60} minutes after it was asked to; "
                    f"end it at {self.backend.link(self.attempt.name) or self.backend.name}"
                )
            self.sleep(min(self.timeouts.poll_seconds, 5))

    def _last_lines(self) -> list[str]:
        if not self._here:
            return []
        try:
            return self.backend.last_lines(self.attempt.name)
        except BackendError as error:
            return [f"(they cannot be read: {error})"]


def _without(message: str, lines: list[str]) -> list[str]:
    """The lines that do not repeat the job's own message, which its log holds too."""
    said = [line.strip() for line in message.splitlines() if line.strip()]
    return [line for line in lines if line.strip() not in said and not (said and said[0] in line)]
