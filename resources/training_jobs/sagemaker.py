"""SageMaker training jobs: one instance, managed spot, this project's own image and program."""

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from resources.configuration import Configuration
from resources.lake.store import Store
from resources.training_jobs.aws import NO_LOG, AwsBackend
from resources.training_jobs.backend import WITH_DIGEST, Backend, BackendJob, JobState, JobStatus, require_s3
from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
JOBS = "_jobs"  # below the lake's root: what SageMaker itself wants to leave on S3
NOT_FOUND = "^ResourceNotFound|^ValidationException: .*not found"
LONGEST_HOURS = 28 * 24
AT_WORK = {"Training", "Uploading"}
EXIT_CODE = re.compile(r"exit ?code:? ?(\d+)", re.IGNORECASE)


class SageMakerConfiguration(Configuration):
    """SageMaker training jobs."""

    several_nodes: ClassVar[bool] = False
    kind: Literal["sagemaker"] = Field(description="SageMaker training jobs.")
    image: str = Field(pattern=WITH_DIGEST, description="The trainer's image in ECR, with its digest (`…@sha256:…`).")
    role: str = Field(
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$", description="ARN of the role that jobs run under."
    )
    instance_type: str = Field(pattern=r"^ml\.[a-z0-9.-]+$", description="Machine, such as `ml.g6e.xlarge`.")
    volume_gb: int = Field(default=100, ge=10, le=16384, description="Disk for the base model and one checkpoint.")
    spot: bool = Field(default=True, description="Managed spot: cheaper, may be interrupted, resumes.")
    max_hours: float = Field(default=24, gt=0, le=LONGEST_HOURS, description="Longest time on the machine.")
    max_wait_hours: float = Field(
        default=48, gt=0, le=LONGEST_HOURS, description="Spot only: longest time with all waiting for capacity."
    )
    subnets: tuple[str, ...] = Field(default=(), description="VPC only: where the machine stands.")
    security_groups: tuple[str, ...] = Field(default=(), description="VPC only: what it may reach.")
    kms_key: str | None = Field(default=None, description="Encrypts the volume and what SageMaker writes.")
    tags: dict[str, str] = Field(default={}, max_length=50, description="Of every job, for the bill.")
    environment: dict[str, str] = Field(default={}, description="Of every job; no secrets, SageMaker shows it.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        faults = []
        if bool(self.subnets) != bool(self.security_groups):
            faults.append("subnets and security_groups go together")
        if self.spot and self.max_wait_hours < self.max_hours:
            faults.append(f"max_wait_hours {self.max_wait_hours:g} is less than max_hours {self.max_hours:g}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def open(self, store: Store, detached: bool) -> Backend:
        """The backend. Raises BackendError where the lake is not on S3, or no region is set."""
        require_s3(store, "SageMaker")
        return SageMakerBackend(self, store.root)


class SageMakerBackend(AwsBackend):
    """Training jobs of one account and region."""

    _client: "SageMakerClient"

    def __init__(self, configuration: SageMakerConfiguration, lake_root: str) -> None:
        super().__init__("sagemaker")
        self.configuration = configuration
        self.lake_root = lake_root
        self.image = configuration.image
        self.name = f"sagemaker:{self.region}"

    def submit(self, job: BackendJob) -> None:
        # A name can be used once: the job exists where another run, or a call whose answer was lost, submitted it.
        create = self._client.create_training_job
        self._call(f"CreateTrainingJob {job.name}", create, "^ResourceInUse", **self.request(job))

    def request(self, job: BackendJob) -> Any:
        """The body of CreateTrainingJob."""
        settings = self.configuration
        body: dict[str, Any] = {
            "TrainingJobName": job.name,
            "RoleArn": settings.role,
            "AlgorithmSpecification": {
                "TrainingImage": settings.image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python"],
                "ContainerArguments": list(job.python_arguments),
            },
            "ResourceConfig": {
                "InstanceType": settings.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": settings.volume_gb,
                **({"VolumeKmsKeyId": settings.kms_key} if settings.kms_key else {}),
            },
            "StoppingCondition": {
                "MaxRuntimeInSeconds": round(settings.max_hours * 3600),
                **({"MaxWaitTimeInSeconds": round(settings.max_wait_hours * 3600)} if settings.spot else {}),
            },
            "EnableManagedSpotTraining": settings.spot,
            # The program saves to the lake itself; spot jobs that may take long want this to be set all the same.
            "CheckpointConfig": {"S3Uri": f"{self.lake_root}/{JOBS}/{job.name}/checkpoints"},
            "OutputDataConfig": {
                "S3OutputPath": f"{self.lake_root}/{JOBS}",
                **({"KmsKeyId": settings.kms_key} if settings.kms_key else {}),
            },
            "Environment": {**settings.environment, **job.environment},
            "Tags": [{"Key": key, "Value": value} for key, value in settings.tags.items()],
        }
        if settings.subnets:
            body["VpcConfig"] = {"Subnets": list(settings.subnets), "SecurityGroupIds": list(settings.security_groups)}
        return body

    def status(self, name: str) -> JobStatus | None:
        describe = self._client.describe_training_job
        answer = self._call(f"DescribeTrainingJob {name}", describe, NOT_FOUND, TrainingJobName=name)
        return read_status(answer) if answer else None

    def stop(self, name: str, why: str) -> None:
        # A job that has ended cannot be stopped: "the training job is in status Completed".
        stop = self._client.stop_training_job
        self._call(f"StopTrainingJob {name}", stop, f"{NOT_FOUND}|in status", TrainingJobName=name)

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        describe, prefix = self._logs.describe_log_streams, f"{name}/"
        named = f"DescribeLogStreams of {LOG_GROUP}"
        answer = self._call(named, describe, NO_LOG, logGroupName=LOG_GROUP, logStreamNamePrefix=prefix)
        streams = answer["logStreams"] if answer else []
        return self._log_tail(LOG_GROUP, streams[-1]["logStreamName"], count) if streams else []

    def link(self, name: str) -> str | None:
        return f"https://{self.region}.console.aws.amazon.com/sagemaker/home?region={self.region}#/jobs/{name}"


def read_status(description: Any) -> JobStatus:
    """What DescribeTrainingJob says, as the state that all backends share."""
    status, detail = description["TrainingJobStatus"], description.get("SecondaryStatus", "")
    reason = description.get("FailureReason") or detail
    match status:
        case "Completed":
            return JobStatus(JobState.SUCCEEDED)
        case "Failed":
            return JobStatus(_failed(reason), reason)
        case "Stopped":
            return _stopped(description, detail)
        case "Stopping" | "Deleting":
            return JobStatus(JobState.STOPPING, reason)
        case _:
            # An interrupted spot job is started again by SageMaker itself, under the same name.
            return JobStatus(JobState.RUNNING if detail in AT_WORK else JobState.WAITING, detail)


def _failed(reason: str) -> JobState:
    code = EXIT_CODE.search(reason)
    if code and int(code[1]) in (EXIT_INTERRUPTED, EXIT_ORPHANED):
        return JobState.INTERRUPTED
    if reason.startswith("CapacityError"):
        return JobState.NO_CAPACITY
    return JobState.INTERRUPTED if reason.startswith("InternalServerError") else JobState.FAILED


def _stopped(description: Any, detail: str) -> JobStatus:
    match detail:
        case "MaxRuntimeExceeded":
            return JobStatus(JobState.TIMED_OUT, f"{detail}: raise backend.max_hours; what was saved is kept")
        case "MaxWaitTimeExceeded":
            started = description.get("TrainingStartTime")
            return JobStatus(JobState.INTERRUPTED if started else JobState.NO_CAPACITY, detail)
        case "Interrupted":
            return JobStatus(JobState.INTERRUPTED, detail)
        case _:
            return JobStatus(JobState.STOPPED, detail)
