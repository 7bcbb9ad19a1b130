"""AWS Batch container jobs as a place: a queue and a job definition, both made by infra/."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from resources.configuration import Configuration
from resources.lake.store import Store
from resources.training_jobs.aws import AwsJobs, explained, log_tail, open_client, require_s3
from resources.training_jobs.backend import (
    LISTED_SECONDS,
    WITH_DIGEST,
    Backend,
    BackendError,
    BackendUnreachable,
    Job,
    JobState,
    JobStatus,
)
from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

LOG_GROUP = "/aws/batch/job"
SUBMISSIONS = 4
ENDED = {"SUCCEEDED", "FAILED"}
# Of a job that failed, in Batch's own words.
HOST_GONE = "Host EC2"  # "Host EC2 (instance i-…) terminated."
CAPACITY = "CAPACITY:"  # how a queue says that it gave up waiting for machines
MISFIT = "MISCONFIGURATION:"  # how it says that no machine will ever do
TIMED_OUT = "duration exceeded timeout"


class BatchConfiguration(Configuration):
    """AWS Batch container jobs."""

    kind: Literal["batch"] = Field(description="AWS Batch container jobs.")
    queue: str = Field(min_length=1, description="Job queue, by name or ARN.")
    definition: str = Field(min_length=1, description="Job definition: name (the newest revision), name:revision, ARN.")
    image: str = Field(
        pattern=WITH_DIGEST, description="The image of that definition, with its digest; checked before use."
    )
    gpus: int = Field(default=1, ge=0, le=16, description="GPUs of a job; 0: none.")
    vcpus: int | None = Field(default=None, ge=1, description="Instead of the definition's.")
    memory_mib: int | None = Field(default=None, ge=512, description="Instead of the definition's, MiB.")
    max_hours: float = Field(default=24, gt=0, le=672, description="Longest time on a machine.")
    tags: dict[str, str] = Field(default={}, max_length=50, description="Of every job, for the bill.")
    environment: dict[str, str] = Field(default={}, description="Of every job; no secrets, Batch shows it.")

    def open(self, store: Store, detached: bool) -> Backend:
        """The place. Raises BackendError where the lake is not on S3, or no region is set."""
        require_s3(store, "AWS Batch")
        return BatchBackend(self)


class BatchBackend(AwsJobs):
    """Jobs of one queue. Batch lets many jobs have one name; here a name is one job, the first of that name."""

    _client: "BatchClient"

    def __init__(
        self, configuration: BatchConfiguration, retry_seconds: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__("batch")
        self.configuration = configuration
        self.retry_seconds = retry_seconds
        self.image = configuration.image
        self.where = f"batch:{self.region}:{configuration.queue}"
        self._clock = clock
        self._ids: dict[str, str] = {}
        self._doubted: dict[str, float] = {}  # until when another job of that name may turn up

    @cached_property
    def _submitter(self) -> "BatchClient":
        # botocore would send a submission whose answer was lost a second time, and Batch would run both.
        client: BatchClient = open_client("batch", attempts=1)
        return client

    def submit(self, job: Job) -> None:
        if self._find(job.name):
            return
        self._check(job)
        for waits in range(SUBMISSIONS):
            try:
                with explained(f"SubmitJob {job.name}"):
                    self._ids[job.name] = self._submitter.submit_job(**self.request(job))["jobId"]
                # One that was made again may be the second: the first had arrived, and is not listed yet.
                self._doubted[job.name] = self._clock() + (LISTED_SECONDS if waits else 0)
                return
            except BackendUnreachable:
                time.sleep(self.retry_seconds * 2**waits)
                if self._find(job.name):  # it had arrived, its answer had not
                    return
        raise BackendUnreachable(f"SubmitJob {job.name} failed {SUBMISSIONS} times; it may work in a minute")

    def request(self, job: Job) -> Any:
        """The body of SubmitJob."""
        own = self.configuration
        sizes = {"GPU": own.gpus or None, "VCPU": own.vcpus, "MEMORY": own.memory_mib}
        environment = {**own.environment, **job.environment}
        body: dict[str, Any] = {
            "jobName": job.name,
            "jobQueue": own.queue,
            "jobDefinition": own.definition,
            "containerOverrides": {
                "command": ["python", *job.python_arguments],
                "environment": [{"name": name, "value": value} for name, value in environment.items()],
                "resourceRequirements": [{"type": kind, "value": str(size)} for kind, size in sizes.items() if size],
            },
            "retryStrategy": {"attempts": 1},  # tries are counted by the trainer, which also backs off
            "timeout": {"attemptDurationSeconds": max(60, round(own.max_hours * 3600))},
        }
        if own.tags:
            body |= {"tags": own.tags, "propagateTags": True}
        return body

    def status(self, name: str) -> JobStatus | None:
        job = self._describe(name)
        return read_status(job) if job else None

    def stop(self, name: str, why: str) -> None:
        job = self._describe(name)
        if job and job["status"] not in ENDED:
            with explained(f"TerminateJob {name}"):
                self._client.terminate_job(jobId=job["jobId"], reason=why)

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        container = (self._describe(name) or {}).get("container", {})
        if not container.get("logStreamName"):
            return []
        options = container.get("logConfiguration", {}).get("options", {})
        return log_tail(self._logs, options.get("awslogs-group", LOG_GROUP), container["logStreamName"], count)

    def link(self, name: str) -> str | None:
        identity = self._find(name)
        console = f"https://{self.region}.console.aws.amazon.com/batch/home?region={self.region}"
        return f"{console}#jobs/detail/{identity}" if identity else None

    def _describe(self, name: str) -> Any:
        """DescribeJobs of the job of that name; None where Batch knows none."""
        identity = self._find(name)
        if identity is None:
            return None
        with explained(f"DescribeJobs {name}"):
            jobs = self._client.describe_jobs(jobs=[identity])["jobs"]
        return jobs[0] if jobs else None

    def _find(self, name: str) -> str | None:
        """The id of the first job of that name. Others, of a submission that was sent twice, are ended."""
        now = self._clock()
        if now >= self._doubted.setdefault(name, now + LISTED_SECONDS) and name in self._ids:
            return self._ids[name]
        with explained(f"ListJobs of {self.configuration.queue}"):
            pages = self._client.get_paginator("list_jobs").paginate(
                jobQueue=self.configuration.queue, filters=[{"name": "JOB_NAME", "values": [name]}]
            )
            found = sorted(
                (job for page in pages for job in page["jobSummaryList"]),
                key=lambda job: (job["createdAt"], job["jobId"]),
            )
            for job in found[1:]:
                if job["status"] not in ENDED:
                    self._client.terminate_job(
                        jobId=job["jobId"], reason=f"submitted twice; {found[0]['jobId']} counts"
                    )
        if found:
            self._ids[name] = found[0]["jobId"]
        return self._ids.get(name)

    def _check(self, job: Job) -> None:
        """Refuse what Batch would take and run wrongly."""
        own = self.configuration
        if own.gpus and job.processes > own.gpus:
            raise BackendError(
                f"{job.name} wants {job.processes} processes, one a GPU, and backend.gpus is {own.gpus}: raise it, or "
                "lower recipe.processes"
            )
        with explained(f"DescribeJobDefinitions {own.definition}"):
            exact = ":" in own.definition
            answer = (
                self._client.describe_job_definitions(jobDefinitions=[own.definition])
                if exact
                else self._client.describe_job_definitions(jobDefinitionName=own.definition, status="ACTIVE")
            )
        found = max(answer["jobDefinitions"], key=lambda definition: definition["revision"], default=None)
        if found is None:
            raise BackendError(
                f"there is no job definition {own.definition}: correct backend.definition, or deploy infra/"
            )
        image = found.get("containerProperties", {}).get("image")
        if image != own.image:
            raise BackendError(
                f"the job definition {own.definition} runs {image}, and backend.image says {own.image}: they should be "
                "the same, for checkpoints are named by it"
            )


def read_status(job: Any) -> JobStatus:
    """What DescribeJobs says of one job, in the words that all places share."""
    ending = job.get("isTerminated") or job.get("isCancelled")
    match job["status"]:
        case "SUCCEEDED":
            return JobStatus(JobState.SUCCEEDED)
        case "FAILED":
            return _failed(job, ending)
        case "RUNNING" | "STARTING" | "RUNNABLE" if ending:
            return JobStatus(JobState.STOPPING, job.get("statusReason", ""))
        case "RUNNING":
            return JobStatus(JobState.RUNNING)
        case _:
            return JobStatus(JobState.WAITING, job.get("statusReason", ""))


def _failed(job: Any, ending: bool) -> JobStatus:
    container = job.get("container", {})
    code = container.get("exitCode")
    words = [job.get("statusReason"), container.get("reason"), f"exit code {code}" if code is not None else None]
    reason = "; ".join(word for word in words if word)
    if CAPACITY in reason:
        return JobStatus(JobState.NO_CAPACITY, reason)
    if MISFIT in reason:
        return JobStatus(JobState.FAILED, f"{reason}: ask for less, or give the queue larger machines")
    if HOST_GONE in reason:
        return JobStatus(JobState.INTERRUPTED, reason)
    if TIMED_OUT in reason:
        return JobStatus(JobState.FAILED, f"{reason}: raise backend.max_hours; what was saved is kept")
    if ending:
        return JobStatus(JobState.STOPPED, reason)
    return JobStatus(JobState.INTERRUPTED if code in (EXIT_INTERRUPTED, EXIT_ORPHANED) else JobState.FAILED, reason)
