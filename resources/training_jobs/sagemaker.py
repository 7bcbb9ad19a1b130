"""SageMaker training jobs as a place: one instance, managed spot, this project's own image and program."""

import re
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from resources.configuration import Configuration
from resources.lake.store import Store
from resources.training_jobs.aws import AwsJobs, error_of, explained, log_tail, require_s3
from resources.training_jobs.backend import WITH_DIGEST, Backend, Job, JobState, JobStatus
from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
JOBS = "_jobs"  # below the lake's root: what SageMaker itself wants to leave on S3
LONGEST_HOURS = 28 * 24
AT_WORK = {"Training", "Uploading"}
EXIT_CODE = re.compile(r"exit ?code:? ?(\d+)", re.IGNORECASE)


class SageMakerConfiguration(Configuration):
    """SageMaker training jobs."""

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
        """The place. Raises BackendError where the lake is not on S3, or no region is set."""
        require_s3(store, "SageMaker")
        return SageMakerBackend(self, store.root)


class SageMakerBackend(AwsJobs):
    """Training jobs of one account and region."""

    _client: "SageMakerClient"

    def __init__(self, configuration: SageMakerConfiguration, lake_root: str) -> None:
        super().__init__("sagemaker")
        self.configuration = configuration
        self.lake_root = lake_root
        self.image = configuration.image
        self.where = f"sagemaker:{self.region}"

    def submit(self, job: Job) -> None:
        from botocore.exceptions import ClientError

        with explained(f"CreateTrainingJob {job.name}"):
            try:
                self._client.create_training_job(**self.request(job))
            except ClientError as error:
                if error_of(error)[0] != "ResourceInUse":  # it is there already, maybe of a call whose answer was lost
                    raise

    def request(self, job: Job) -> Any:
        """The body of CreateTrainingJob."""
        own = self.configuration
        body: dict[str, Any] = {
            "TrainingJobName": job.name,
            "RoleArn": own.role,
            "AlgorithmSpecification": {
                "TrainingImage": own.image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python"],
                "ContainerArguments": list(job.python_arguments),
            },
            "ResourceConfig": {
                "InstanceType": own.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": own.volume_gb,
                **({"VolumeKmsKeyId": own.kms_key} if own.kms_key else {}),
            },
            "StoppingCondition": {
                "MaxRuntimeInSeconds": round(own.max_hours * 3600),
                **({"MaxWaitTimeInSeconds": round(own.max_wait_hours * 3600)} if own.spot else {}),
            },
            "EnableManagedSpotTraining": own.spot,
            # The program saves to the lake itself; spot jobs that may take long want this to be set all the same.
            "CheckpointConfig": {"S3Uri": f"{self.lake_root}/{JOBS}/{job.name}/checkpoints"},
            "OutputDataConfig": {
                "S3OutputPath": f"{self.lake_root}/{JOBS}",
                **({"KmsKeyId": own.kms_key} if own.kms_key else {}),
            },
            "Environment": {**own.environment, **job.environment},
            "Tags": [{"Key": key, "Value": value} for key, value in own.tags.items()],
        }
        if own.subnets:
            body["VpcConfig"] = {"Subnets": list(own.subnets), "SecurityGroupIds": list(own.security_groups)}
        return body

    def status(self, name: str) -> JobStatus | None:
        from botocore.exceptions import ClientError

        with explained(f"DescribeTrainingJob {name}"):
            try:
                return read_status(self._client.describe_training_job(TrainingJobName=name))
            except ClientError as error:
                if _is_not_found(error):
                    return None
                raise

    def stop(self, name: str, why: str) -> None:
        from botocore.exceptions import ClientError

        with explained(f"StopTrainingJob {name}"):
            try:
                self._client.stop_training_job(TrainingJobName=name)
            except ClientError as error:
                # What has ended cannot be stopped: "the training job is in status Completed".
                if not _is_not_found(error) and "in status" not in error_of(error)[1]:
                    raise

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        from botocore.exceptions import ClientError

        with explained(f"DescribeLogStreams of {LOG_GROUP}"):
            try:
                streams = self._logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")
            except ClientError as error:
                if error_of(error)[0] == "ResourceNotFoundException":
                    return []
                raise
        if not streams["logStreams"]:
            return []
        return log_tail(self._logs, LOG_GROUP, streams["logStreams"][-1]["logStreamName"], count)

    def link(self, name: str) -> str | None:
        return f"https://{self.region}.console.aws.amazon.com/sagemaker/home?region={self.region}#/jobs/{name}"


def read_status(description: Any) -> JobStatus:
    """What DescribeTrainingJob says, in the words that all places share."""
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
            return JobStatus(JobState.FAILED, f"{detail}: raise backend.max_hours; what was saved is kept")
        case "MaxWaitTimeExceeded":
            started = description.get("TrainingStartTime")
            return JobStatus(JobState.INTERRUPTED if started else JobState.NO_CAPACITY, detail)
        case "Interrupted":
            return JobStatus(JobState.INTERRUPTED, detail)
        case _:
            return JobStatus(JobState.STOPPED, detail)


def _is_not_found(error: Any) -> bool:
    code, message = error_of(error)
    return code == "ResourceNotFound" or (code == "ValidationException" and "not found" in message.lower())
