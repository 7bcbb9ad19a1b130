"""A trainer: a place and how patient to be with it. It takes a piece of work to its manifest, whatever happens."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resources.lake.published_folders import MANIFEST, json_bytes
from resources.lake.store import DEFAULT_S3, S3Options, Store, StoreError
from resources.training_jobs.attempts import (
    Attempt,
    claim_attempt,
    last_heard,
    newest_attempt,
    read_end,
    read_failure,
    read_heartbeat,
    read_parent,
    record_end,
    still_claimed,
    take_over,
    write_parent,
)
from resources.training_jobs.backend import (
    LISTED_SECONDS,
    WORTH_ANOTHER_TRY,
    Backend,
    BackendError,
    BackendUnreachable,
    Job,
    JobState,
    JobStatus,
)
from resources.training_jobs.configuration import TrainerConfiguration
from resources.training_jobs.job import (
    ATTEMPT,
    FOLDER,
    HEARTBEAT_SECONDS,
    LAKE_ROOT,
    ORPHAN_MINUTES,
    SPECIFICATION,
    TrainingJob,
)
from resources.training_jobs.signals import OneInterruption

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

    from resources.training_jobs.pipes import LakeMessageReader

PARENT_GONE_SECONDS = 4 * HEARTBEAT_SECONDS
CLAIMER_GONE_SECONDS = 120  # nobody needs so long between claim and submission
LONGEST_RETRY_SECONDS = 600
STOP_SECONDS = 840  # less than what surrounds a run gives it to end: 900 in infra/

NEVER_SUBMITTED = JobStatus(JobState.STOPPED, "it was never submitted")


class TrainingFailed(RuntimeError):
    """The work was not done. The message holds the reason and the job's last lines."""


def open_job_launcher(configuration: TrainerConfiguration, store: Store, s3: S3Options = DEFAULT_S3) -> "JobLauncher":
    """The trainer of a configuration, for the work of one lake.

    Args:
        configuration: the place, and how patient to be with it.
        store: the lake.
        s3: how the lake is reached where it is on S3; jobs are told.

    Raises:
        BackendError: the place cannot be used with this lake.
    """
    place = configuration.backend.open(store, configuration.timeouts.detached)
    return JobLauncher(configuration, store, place, s3.to_environment())


class JobLauncher:
    """Launches work, or joins what runs already, and waits until it is done."""

    def __init__(
        self,
        configuration: TrainerConfiguration,
        store: Store,
        place: Backend,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            configuration: how patient to be.
            store: the lake.
            place: where jobs run.
            environment: what every job is told beside its work; no secrets, places show it.
            clock: seconds since 1970.
            sleep: waits for so many seconds.
        """
        self.configuration = configuration
        self.store = store
        self.backend = place
        self._environment = environment
        self._clock = clock
        self._sleep = sleep

    @property
    def image(self) -> str:
        """What runs the jobs: the image's address, or `local`. The result depends on it."""
        return self.backend.image

    def run(self, context: "AssetExecutionContext", work: TrainingJob) -> None:
        """Return when `<work.folder>/manifest.json` is there.

        A job of the same work that runs already is joined. One that was interrupted, or lost, is started again while
        tries are left. When Dagster ends this step (UI, SIGINT, SIGTERM), the job is stopped, and only then does this
        return. The asset that calls this returns MaterializeResult: Dagster Pipes asks for it.

        Raises:
            TrainingFailed: it failed by its own fault, or too often by others'; the message says which.
            BackendError: the place refuses or cannot be reached.
            StoreError: the lake cannot be used.
        """
        self._specify(work)
        with OneInterruption() as interruption:
            tries = 0
            while not self._done(work):
                attempt, status = self._try(context, work, interruption)
                if self._done(work):
                    break
                if attempt is None:
                    continue
                tries += 1
                if status.state not in WORTH_ANOTHER_TRY:
                    raise TrainingFailed(self._account(attempt, status))
                if tries >= self.configuration.timeouts.tries:
                    raise TrainingFailed(
                        f"{tries} jobs were interrupted or never started; what they saved is kept: materialise again "
                        f"to go on, or raise timeouts.tries. {self._account(attempt, status)}"
                    )
                wait = min(self.configuration.timeouts.retry_seconds * 2 ** (tries - 1), LONGEST_RETRY_SECONDS)
                context.log.warning(f"{attempt.job}: {_words(status)}; another try in {wait:.0f} s")
                self._sleep(wait)

    def _specify(self, work: TrainingJob) -> None:
        """Write down what is asked for; anew where only what the result does not depend on has changed."""
        path, asked = f"{work.folder}/{SPECIFICATION}", json_bytes(work.specification)
        if self.store.put_if_absent(path, asked):
            return
        there, version = self.store.get_with_version(path)
        identity = json.loads(there).get("id")
        if identity != work.specification["id"]:
            raise TrainingFailed(
                f"{self.store.uri(path)} asks for {identity}, this run for {work.specification['id']}: a folder "
                "belongs to one piece of work for ever. Look who wrote it; what lies beside it may have been paid for"
            )
        if there != asked and not self._done(work):
            self.store.replace_if_unchanged(path, asked, version)

    def _done(self, work: TrainingJob) -> bool:
        return self.store.exists(f"{work.folder}/{MANIFEST}")

    # -- one attempt -----------------------------------------------------------------------------------------------

    def _try(
        self, context: "AssetExecutionContext", work: TrainingJob, interruption: OneInterruption
    ) -> tuple[Attempt | None, JobStatus]:
        """Join the attempt that is under way, or make one; how it ended. No attempt: look again."""
        nothing = JobStatus(JobState.WAITING)
        attempt = newest_attempt(self.store, work.folder)
        if attempt is not None and read_end(self.store, attempt) is None:
            status = self._status(work, attempt)
            if status is None or not status.ended:
                return attempt, self._follow(context, work, attempt, False, interruption)
            # It ended while nobody looked. Whoever asks now wants another try, even if it failed by its own fault.
            record_end(self.store, attempt, status)
            context.log.warning(f"{attempt.job}, of an earlier run: {_words(status)}")
            return None, nothing
        number = attempt.number + 1 if attempt else 1
        claimed = claim_attempt(self.store, work, number, self.backend.where, context.run.run_id, self._clock())
        if claimed is None:
            return None, nothing
        return claimed, self._follow(context, work, claimed, True, interruption)

    def _follow(
        self,
        context: "AssetExecutionContext",
        work: TrainingJob,
        attempt: Attempt,
        mine: bool,
        interruption: OneInterruption,
    ) -> JobStatus:
        """Follow a job to its end, however it comes; note that in the lake."""
        from dagster import open_pipes_session

        from resources.training_jobs.pipes import LakeContextInjector, LakeMessageReader

        reader = LakeMessageReader(self.store, attempt.folder, self._clock)
        injector = LakeContextInjector(self.store, attempt.folder)
        with open_pipes_session(context, injector, reader) as session:
            environment = dict(session.get_bootstrap_env_vars())
            watch = _Watch(context, work, attempt, reader, environment, interruption, to_submit=mine)
            try:
                status = self._watch(watch)
            except BaseException:
                if interruption.came:
                    self._stop_if_ours(watch)
                raise
        record_end(self.store, attempt, status)
        return status

    def _submit(self, watch: "_Watch") -> None:
        """Start the claimed job, unless the claim is another's by now."""
        with watch.interruption.held_back():
            if not still_claimed(self.store, watch.attempt, watch.work):
                watch.to_submit = False
                return
            self._keep(watch)
            watch.tried = True
            try:
                self.backend.submit(self._job(watch))
            except BackendUnreachable:
                raise
            except BackendError as error:
                record_end(self.store, watch.attempt, JobStatus(JobState.FAILED, f"it was refused: {error}"))
                raise
            watch.to_submit, watch.submitted = False, True
        link = self.backend.link(watch.attempt.job)
        watch.log(f"submitted to {self.backend.where}" + (f": {link}" if link else ""))

    def _job(self, watch: "_Watch") -> Job:
        patience = self.configuration.timeouts
        environment = {
            **self._environment,
            LAKE_ROOT: self.store.root,
            FOLDER: watch.work.folder,
            ATTEMPT: str(watch.attempt.number),
            **({} if patience.detached else {ORPHAN_MINUTES: str(patience.orphan_minutes)}),
            **watch.environment,
        }
        return Job(watch.attempt.job, ("-m", watch.work.program), environment, watch.work.processes)

    def _watch(self, watch: "_Watch") -> JobStatus:
        """Look at the job now and then until it has ended."""
        if not watch.to_submit:
            watch.log(f"joined; run {watch.attempt.run_id} submitted it")
        while True:
            try:
                status = self._look(watch)
                watch.unreachable_since = None
                if status is not None and status.ended:
                    return status
            except (StoreError, BackendUnreachable) as error:
                self._bear(watch, error)
            self._sleep(self.configuration.timeouts.poll_seconds)

    def _look(self, watch: "_Watch") -> JobStatus | None:
        if watch.to_submit:
            self._submit(watch)
        self._keep(watch)
        watch.reader.read()
        status = self._status(watch.work, watch.attempt)
        if status is None:
            return self._missing(watch)
        watch.missing_since = None
        if status.state != watch.state:
            watch.state = status.state
            watch.log(_words(status))
        if status.state is not JobState.RUNNING:
            watch.heard_at = None  # a place may start a job again after hours
        elif watch.keeps and watch.attempt.where == self.backend.where and self._silent(watch):
            return self._end_silent(watch)
        return status

    def _bear(self, watch: "_Watch", error: Exception) -> None:
        """The lake or the place does not answer: told once, borne for as long as a silent job."""
        now = self._clock()
        if watch.unreachable_since is None:
            watch.unreachable_since = now
            watch.log(f"trying again until it answers: {error}", urgent=True)
        if now - watch.unreachable_since > self._silence:
            raise error

    def _missing(self, watch: "_Watch") -> JobStatus | None:
        """The place knows no such job: its claimer is about to submit it, or gone; or the place has forgotten it."""
        now = self._clock()
        if watch.missing_since is None:
            watch.missing_since = now
        if watch.submitted:
            if now - watch.missing_since > self._silence:
                return JobStatus(JobState.INTERRUPTED, f"{self.backend.where} does not know it any more")
        elif now - watch.attempt.claimed_at > CLAIMER_GONE_SECONDS:
            ours = take_over(self.store, watch.attempt, watch.work, watch.context.run.run_id, now)
            claimed = ours or newest_attempt(self.store, watch.work.folder)
            if claimed is not None and claimed.number == watch.attempt.number:
                watch.attempt = claimed
            if ours:
                watch.log("its claimer is gone; submitting it")
                watch.to_submit = True
        return None

    def _status(self, work: TrainingJob, attempt: Attempt) -> JobStatus | None:
        """What the place says; of a job at another place, what its folder in the lake says."""
        failure = read_failure(self.store, attempt)
        if attempt.where == self.backend.where:
            status = self.backend.status(attempt.job)
            if status is not None and status.state is JobState.FAILED and failure.get("retryable") is True:
                return JobStatus(JobState.INTERRUPTED, status.reason)
            return status
        if self._done(work):
            return JobStatus(JobState.SUCCEEDED)
        if end := read_end(self.store, attempt):
            return end
        if failure:
            state = JobState.INTERRUPTED if failure.get("retryable") is True else JobState.FAILED
            return JobStatus(state, f"exit code {failure.get('exit')} at {attempt.where}")
        if self._clock() - last_heard(self.store, attempt) > self._silence:
            return JobStatus(JobState.INTERRUPTED, f"at {attempt.where}, not heard of for long")
        return JobStatus(JobState.RUNNING, f"at {attempt.where}, as its heartbeat says")

    # -- signs of life ---------------------------------------------------------------------------------------------

    @property
    def _silence(self) -> float:
        return self.configuration.timeouts.silent_minutes * 60

    def _keep(self, watch: "_Watch") -> None:
        """Say that a run waits for the job: this one, if it keeps the job or the run that kept it is gone."""
        now = self._clock()
        if watch.keeps and now - watch.kept_at < HEARTBEAT_SECONDS:
            return
        parent = read_parent(self.store, watch.attempt)
        run_id = watch.context.run.run_id
        free = parent is None or now - parent.time > PARENT_GONE_SECONDS
        if parent is not None and parent.run_id != run_id and not free:
            watch.keeps = False
            return
        if parent is None and not watch.submitted and watch.attempt.run_id != run_id:
            return  # its claimer is about to
        watch.keeps = write_parent(self.store, watch.attempt, run_id, now, parent)
        watch.kept_at = now

    def _silent(self, watch: "_Watch") -> bool:
        """Whether a running job has given no sign of life for too long."""
        heartbeat, now = read_heartbeat(self.store, watch.attempt), self._clock()
        if watch.heard_at is None or heartbeat != watch.heartbeat:
            watch.heartbeat, watch.heard_at = heartbeat, now
        return now - watch.heard_at > self._silence

    # -- endings ---------------------------------------------------------------------------------------------------

    def _end_silent(self, watch: "_Watch") -> JobStatus:
        minutes = self.configuration.timeouts.silent_minutes
        described = JobStatus(JobState.INTERRUPTED, f"no heartbeat for {minutes:g} minutes")
        watch.log(self._account(watch.attempt, described), urgent=True)
        self._stop(watch, f"silent for {minutes:g} minutes")
        return described

    def _stop_if_ours(self, watch: "_Watch") -> None:
        """Dagster ends this run: stop the job, unless another run waits for it; what the lake is told comes last."""
        attempt = watch.attempt
        if attempt.where != self.backend.where:
            return
        if watch.to_submit and not watch.tried:
            status = NEVER_SUBMITTED
        elif keeper := self._other_keeper(watch):
            watch.log(f"left running, for {keeper} waits for it too")
            return
        else:
            watch.log("stopping it, for this run was asked to end")
            ended = self._stop(watch, f"run {watch.context.run.run_id} was asked to end")
            if ended is None and not watch.tried:
                return  # its claimer is about to submit it
            status = ended or NEVER_SUBMITTED
            watch.log(_words(status))
        try:
            record_end(self.store, attempt, status)
        except StoreError as error:
            watch.log(f"its end is not noted: {error}", urgent=True)

    def _other_keeper(self, watch: "_Watch") -> str | None:
        """Who else keeps the job. A run that keeps it need not ask the lake, which may be out of reach just now."""
        if watch.keeps:
            return None
        try:
            keeper = read_parent(self.store, watch.attempt)
        except StoreError as error:
            return f"whoever keeps it ({error})"
        return f"run {keeper.run_id}" if keeper and self._clock() - keeper.time <= PARENT_GONE_SECONDS else None

    def _stop(self, watch: "_Watch", why: str) -> JobStatus | None:
        """Ask the job to end and wait until it has; None where the place knows of no such job."""
        began = self._clock()
        while True:
            try:
                self.backend.stop(watch.attempt.job, why)
                status = self.backend.status(watch.attempt.job)
                if status is None and not (watch.tried and self._clock() - began < LISTED_SECONDS):
                    return None
                if status is not None and status.ended:
                    return status
            except BackendUnreachable as error:
                watch.log(f"not stopped yet: {error}", urgent=True)
            if self._clock() - began > STOP_SECONDS:
                raise BackendError(
                    f"{watch.attempt.job} did not end within {STOP_SECONDS // 60} minutes after it was asked to; look "
                    f"at {self.backend.link(watch.attempt.job) or self.backend.where} and end it there"
                )
            self._sleep(min(self.configuration.timeouts.poll_seconds, 5))

    def _account(self, attempt: Attempt, status: JobStatus) -> str:
        """Why an attempt ended, in the place's words and its own, with its last lines."""
        failure = read_failure(self.store, attempt)
        parts = [f"{attempt.job}: {_words(status)}"]
        if status.state is JobState.SUCCEEDED:
            parts = [f"{attempt.job} ended well, but left no {MANIFEST} in {self.store.uri(attempt.folder)}/../.."]
        if status.state is JobState.STOPPED:
            parts.append("Somebody stopped it; materialise again to go on from its last checkpoint")
        message = str(failure.get("message") or "")
        if message:
            parts.append(message)
        link = self.backend.link(attempt.job) if attempt.where == self.backend.where else None
        if link:
            parts.append(f"Look at {link}")
        lines = _not_said(message, self._last_lines(attempt))
        return "\n".join([". ".join(parts), *([" last lines of the job:", *lines] if lines else [])])

    def _last_lines(self, attempt: Attempt) -> list[str]:
        if attempt.where != self.backend.where:
            return []
        try:
            return self.backend.last_lines(attempt.job)
        except BackendError as error:
            return [f"(they cannot be read: {error})"]


@dataclass
class _Watch:
    """What a run knows of the job that it follows."""

    context: "AssetExecutionContext"
    work: TrainingJob
    attempt: Attempt
    reader: "LakeMessageReader"
    environment: Mapping[str, str]  # Dagster Pipes'
    interruption: OneInterruption
    to_submit: bool  # by this run, as its claim says
    tried: bool = False  # to be submitted by this run, with or without an answer
    submitted: bool = False  # by this run
    keeps: bool = False  # this run says that somebody waits for the job
    kept_at: float = 0.0
    state: JobState | None = None
    heartbeat: Mapping[str, Any] = field(default_factory=dict)
    heard_at: float | None = None
    missing_since: float | None = None
    unreachable_since: float | None = None

    def log(self, text: str, urgent: bool = False) -> None:
        """A line of the run's log."""
        (self.context.log.warning if urgent else self.context.log.info)(f"{self.attempt.job}: {text}")


def _words(status: JobStatus) -> str:
    return f"{status.state}, {status.reason}" if status.reason else str(status.state)


def _not_said(message: str, lines: list[str]) -> list[str]:
    """The lines that the job's own message, which it writes into its log as well, does not repeat."""
    said = [line.strip() for line in message.splitlines() if line.strip()]
    return [line for line in lines if line.strip() not in said and not (said and said[0] in line)]
