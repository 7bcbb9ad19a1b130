"""AWS Batch container jobs: a queue and a job definition, both made by infra/."""

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from resources.configuration import Configuration
from resources.lake.store import Store
from resources.training_jobs.aws import AwsBackend, explained, open_client
from resources.training_jobs.backend import (
    WITH_DIGEST,
    Backend,
    BackendError,
    BackendJob,
    BackendUnreachable,
    JobState,
    JobStatus,
    require_s3,
)
from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

LOG_GROUP = "/aws/batch/job"
SUBMISSIONS = 4
OWN_TAG = {"created-by": "master-dagster"}  # the only jobs that infra/cloudformation/batch.yaml allows to end
ENDED = {"SUCCEEDED", "FAILED"}
# Of a job that failed, in Batch's own words.
HOST_GONE = "Host EC2"  # "Host EC2 (instance i-…) terminated."
CAPACITY = "CAPACITY:"  # how a queue says that it gave up waiting for machines
MISFIT = "MISCONFIGURATION:"  # how it says that no machine will ever do
TIMED_OUT = "duration exceeded timeout"


class BatchConfiguration(Configuration):
    """AWS Batch container jobs."""

    several_nodes: ClassVar[bool] = False
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
    tags: dict[str, str] = Field(default={}, max_length=49, description="Of every job, for the bill.")
    environment: dict[str, str] = Field(default={}, description="Of every job; no secrets, Batch shows it.")

    def open(self, store: Store, detached: bool) -> Backend:
        """The backend. Raises BackendError where the lake is not on S3, or no region is set."""
        require_s3(store, "AWS Batch")
        return BatchBackend(self)


class BatchBackend(AwsBackend):
    """Jobs of one queue. Batch accepts many jobs of one name; here a name is one job, the first of that name."""

    _client: "BatchClient"

    def __init__(self, configuration: BatchConfiguration, retry_seconds: float = 2.0) -> None:
        super().__init__("batch")
        self.configuration = configuration
        self.retry_seconds = retry_seconds
        self.image = configuration.image
        self.name = f"batch:{self.region}:{configuration.queue}"
        self._ids: dict[str, str] = {}  # of jobs that this process submitted: they may not be listed yet

    @cached_property
    def _submitter(self) -> "BatchClient":
        # botocore would send a submission whose answer was lost a second time, and Batch would run both.
        client: BatchClient = open_client("batch", attempts=1)
        return client

    def submit(self, job: BackendJob) -> None:
        if self._find(job.name):
            return
        self._check(job)
        reason = ""
        for tries in range(SUBMISSIONS):
            try:
                with explained(f"SubmitJob {job.name}"):
                    self._ids[job.name] = self._submitter.submit_job(**self.request(job))["jobId"]
                return
            except BackendUnreachable as error:
                reason = str(error)
                time.sleep(self.retry_seconds * 2**tries)
                if self._find(job.name):  # the request had arrived, its answer had not
                    return
        raise BackendUnreachable(
            f"SubmitJob {job.name} failed {SUBMISSIONS} times; try again in a minute. Last: {reason}"
        )

    def request(self, job: BackendJob) -> Any:
        """The body of SubmitJob."""
        settings = self.configuration
        sizes = {"GPU": settings.gpus or None, "VCPU": settings.vcpus, "MEMORY": settings.memory_mib}
        environment = {**settings.environment, **job.environment}
        body: dict[str, Any] = {
            "jobName": job.name,
            "jobQueue": settings.queue,
            "jobDefinition": settings.definition,
            "containerOverrides": {
                "command": ["python", *job.python_arguments],
                "environment": [{"name": name, "value": value} for name, value in environment.items()],
                "resourceRequirements": [{"type": kind, "value": str(size)} for kind, size in sizes.items() if size],
            },
            "retryStrategy": {"attempts": 1},  # tries are counted by the trainer, which also backs off
            "timeout": {"attemptDurationSeconds": max(60, round(settings.max_hours * 3600))},
            "tags": settings.tags | OWN_TAG,
            "propagateTags": True,
        }
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
        return self._log_tail(options.get("awslogs-group", LOG_GROUP), container["logStreamName"], count)

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
        """The id of the first job of that name. Later ones, of a submission that was sent twice, are ended."""
        with explained(f"ListJobs of {self.configuration.queue}"):
            pages = self._client.get_paginator("list_jobs").paginate(
                jobQueue=self.configuration.queue, filters=[{"name": "JOB_NAME", "values": [name]}]
            )
            listed = [job for page in pages for job in page["jobSummaryList"]]
            listed.sort(key=lambda job: (job["createdAt"], job["jobId"]))
            for job in listed[1:]:
                if job["status"] not in ENDED:
                    self._client.terminate_job(jobId=job["jobId"], reason=f"duplicate of {listed[0]['jobId']}")
        return listed[0]["jobId"] if listed else self._ids.get(name)

    def _check(self, job: BackendJob) -> None:
        """Refuse what Batch would take and run wrongly."""
        settings = self.configuration
        if settings.gpus and job.processes > settings.gpus:
            raise BackendError(
                f"{job.name} wants {job.processes} processes, one per GPU, and backend.gpus is {settings.gpus}: raise "
                "it, or lower recipe.processes"
            )
        with explained(f"DescribeJobDefinitions {settings.definition}"):
            exact = ":" in settings.definition
            answer = (
                self._client.describe_job_definitions(jobDefinitions=[settings.definition])
                if exact
                else self._client.describe_job_definitions(jobDefinitionName=settings.definition, status="ACTIVE")
            )
        found = max(answer["jobDefinitions"], key=lambda definition: definition["revision"], default=None)
        if found is None:
            raise BackendError(
                f"there is no job definition {settings.definition}: correct backend.definition, or deploy infra/"
            )
        image = found.get("containerProperties", {}).get("image")
        if image != settings.image:
            raise BackendError(
                f"the job definition {settings.definition} runs {image}, and backend.image says "
                f"{settings.image}: they should be the same, for checkpoints are named by it"
            )


def read_status(job: Any) -> JobStatus:
    """What DescribeJobs says of one job, as the state that all backends share."""
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
        return JobStatus(JobState.TIMED_OUT, f"{reason}: raise backend.max_hours; what was saved is kept")
    if ending:
        return JobStatus(JobState.STOPPED, reason)
    return JobStatus(JobState.INTERRUPTED if code in (EXIT_INTERRUPTED, EXIT_ORPHANED) else JobState.FAILED, reason)
