"""Launches training jobs: one backend, and how to watch it. A job runs until its manifest is in the lake."""

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from resources.lake.published_folders import MANIFEST, json_bytes
from resources.lake.store import DEFAULT_S3, S3Options, Store
from resources.outside_text import without_links
from resources.training_jobs.attempts import Attempt, open_attempt
from resources.training_jobs.backend import RETRYABLE, Backend, BackendJob, JobStatus
from resources.training_jobs.configuration import TrainerConfiguration
from resources.training_jobs.following import Follower
from resources.training_jobs.job import ATTEMPT, FOLDER, LAKE_ROOT, ORPHAN_MINUTES, SPECIFICATION, TrainingJob
from resources.training_jobs.pipes import LakeContextInjector, LakeMessageReader
from resources.training_jobs.signals import first_signal_only

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

LONGEST_RETRY_SECONDS = 600
# torchrun kills its processes so many seconds after SIGTERM, by default 30. How long a job has to save a checkpoint is
# for its backend to say, which kills torchrun too.
GRACE_OF_TORCHRUN = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "3600"}


class TrainingFailed(RuntimeError):
    """The job did not succeed. The message holds the reason and the job's last lines."""


def open_job_launcher(configuration: TrainerConfiguration, store: Store, s3: S3Options = DEFAULT_S3) -> "JobLauncher":
    """The launcher of a configuration, for the jobs of one lake.

    Args:
        configuration: the backend, and how to watch it.
        store: the lake.
        s3: how a lake on S3 is reached; jobs get it in their environment.

    Raises:
        BackendError: the backend cannot be used with this lake.
    """
    backend = configuration.backend.open(store, configuration.timeouts.detached)
    return JobLauncher(configuration, store, backend, s3.to_environment())


class JobLauncher:
    """Launches a training job, or joins the one that runs already, and waits until it is done."""

    def __init__(
        self,
        configuration: TrainerConfiguration,
        store: Store,
        backend: Backend,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            configuration: how jobs are watched.
            store: the lake.
            backend: where jobs run.
            environment: variables of every job; no secrets, backends show them.
            clock: seconds since 1970.
            sleep: waits for so many seconds.
        """
        self.configuration = configuration
        self.store = store
        self.backend = backend
        self._environment = environment
        self._clock = clock
        self._sleep = sleep

    @property
    def image(self) -> str:
        """What runs the jobs: the image's address, or `local`. The result depends on it."""
        return self.backend.image

    def run(self, context: "AssetExecutionContext", job: TrainingJob) -> None:
        """Return when `<job.folder>/manifest.json` exists.

        A running attempt of the same job is joined. An attempt that was interrupted or lost is followed by another one
        while tries are left. When Dagster ends this step (UI, SIGINT, SIGTERM), the job is stopped before this raises.
        The asset that calls this returns MaterializeResult: Dagster Pipes requires it.

        Raises:
            TrainingFailed: the job failed, or was interrupted too often; the message says which.
            BackendError: the backend refuses or cannot be reached.
            StoreError: the lake cannot be used.
        """
        self._write_specification(job)
        timeouts, tries = self.configuration.timeouts, 0
        with first_signal_only():
            while not self._done(job):
                follower = self._follower(context, job)
                status = self._follow(context, follower)
                if status is None or self._done(job):
                    continue
                tries += 1
                if status.state not in RETRYABLE:
                    raise TrainingFailed(follower.account(status))
                if tries >= timeouts.tries:
                    raise TrainingFailed(
                        f"{tries} attempts were interrupted or never started; their checkpoints are kept: materialise "
                        f"again to continue, or raise timeouts.tries. {follower.account(status)}"
                    )
                wait = min(timeouts.retry_seconds * 2 ** (tries - 1), LONGEST_RETRY_SECONDS)
                context.log.warning(without_links(f"{follower.attempt.name}: {status}; next attempt in {wait:.0f} s"))
                self._sleep(wait)

    def _write_specification(self, job: TrainingJob) -> None:
        """Write the job's input; again where only what the result does not depend on has changed."""
        path, wanted = f"{job.folder}/{SPECIFICATION}", json_bytes(job.specification)
        if self.store.put_if_absent(path, wanted):
            return
        existing, version = self.store.get_with_version(path)
        identity = json.loads(existing).get("id")
        if identity != job.specification["id"]:
            raise TrainingFailed(
                f"{self.store.uri(path)} is the specification of job {identity}, this run asks for "
                f"{job.specification['id']}: a folder belongs to one job. Find out who wrote it; the files beside it "
                "may have been paid for"
            )
        if existing != wanted and not self._done(job):
            self.store.replace_if_unchanged(path, wanted, version)

    def _done(self, job: TrainingJob) -> bool:
        return self.store.exists(f"{job.folder}/{MANIFEST}")

    def _follower(self, context: "AssetExecutionContext", job: TrainingJob) -> Follower:
        """A follower of the open attempt."""
        price = self.configuration.usd_per_hour
        attempt = open_attempt(self.store, job, self.backend.name, context.run.run_id, self._clock(), price)
        return Follower(
            context, job, attempt, self.backend, self.configuration.timeouts, clock=self._clock, sleep=self._sleep
        )

    def _follow(self, context: "AssetExecutionContext", follower: Follower) -> JobStatus | None:
        """Follow an attempt to its end and record that. None: it had ended before, unseen; another one is wanted."""
        from dagster import open_pipes_session

        attempt = follower.attempt
        status = follower.status()
        if status is not None and status.ended:
            attempt.record_end(status)
            context.log.warning(without_links(f"{attempt.name}, of an earlier run: {status}"))
            return None
        reader = LakeMessageReader(self.store, attempt.folder, self._clock)
        with open_pipes_session(context, LakeContextInjector(self.store, attempt.folder), reader) as session:
            launched = self._backend_job(follower.job, attempt, session.get_bootstrap_env_vars())
            status = follower.follow(launched, reader)
        attempt.record_end(status)
        return status

    def _backend_job(self, job: TrainingJob, attempt: Attempt, pipes: Mapping[str, str]) -> BackendJob:
        timeouts = self.configuration.timeouts
        environment = {
            **self._environment,
            **GRACE_OF_TORCHRUN,
            LAKE_ROOT: self.store.root,
            FOLDER: job.folder,
            ATTEMPT: str(int(attempt.folder.rpartition("/")[2])),
            **({} if timeouts.detached else {ORPHAN_MINUTES: str(timeouts.orphan_minutes)}),
            **pipes,
        }
        return BackendJob(attempt.name, ("-m", job.program), environment, job.processes, job.nodes)
