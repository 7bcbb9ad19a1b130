"""A stand-in for SageMaker, AWS Batch and CloudWatch Logs on loopback that runs the submitted jobs as real processes.

It speaks the HTTP of the calls that we make, checks requests and answers against botocore's own service models, and can
behave as AWS does on a bad day: see `tests.stand_in_jobs`.
"""

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape

from tests.stand_in_jobs import ENDED, RUNNING, JobService, Refusal, StandInJob

ACCOUNT = "123456789012"
REGION = "eu-central-1"
QUEUE = "gpu"
DEFINITION = "trainer"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/trainer@sha256:{'0' * 64}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/trainer"
BATCH_PATHS = {
    "/v1/submitjob": "SubmitJob",
    "/v1/listjobs": "ListJobs",
    "/v1/describejobs": "DescribeJobs",
    "/v1/terminatejob": "TerminateJob",
    "/v1/describejobdefinitions": "DescribeJobDefinitions",
}
LOGS = {"DescribeLogStreams", "GetLogEvents"}


# Backends as a trainer file describes them.
SAGEMAKER = {
    "kind": "sagemaker",
    "image": IMAGE,
    "role": ROLE,
    "instance_type": "ml.g6e.xlarge",
    "tags": {"project": "master"},
}
BATCH = {"kind": "batch", "queue": QUEUE, "definition": DEFINITION, "image": IMAGE, "tags": {"project": "master"}}


class AwsStandIn(JobService):
    """The three services."""

    content_type = "application/x-amz-json-1.1"

    def __init__(self, environment: Mapping[str, str], grace_seconds: float = 20) -> None:
        super().__init__(environment, grace_seconds)
        self.unlisted: Counter[str] = Counter()  # by operation: so many ListJobs do not know yet what was submitted
        self.queues = {QUEUE}
        self.definitions = {DEFINITION: IMAGE}
        self._numbers = itertools.count(1)
        session = botocore.session.get_session()
        self._models = {name: session.get_service_model(name) for name in ("sagemaker", "batch", "logs")}

    @property
    def endpoints(self) -> dict[str, str]:
        """The environment under which boto3 finds these services."""
        return {f"AWS_ENDPOINT_URL_{name}": self.address for name in ("SAGEMAKER", "BATCH", "CLOUDWATCH_LOGS")}

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def operation(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> tuple[str, dict[str, Any]]:
        return BATCH_PATHS.get(path) or headers.get("X-Amz-Target", "").partition(".")[2], body

    def carry_out(self, operation: str, body: Mapping[str, Any]) -> Any:
        service = "batch" if operation in BATCH_PATHS.values() else "logs" if operation in LOGS else "sagemaker"
        model = self._models[service]
        self._check(model, operation, body, "input")
        answer = getattr(self, f"_{_snake(operation)}")(body)
        self._check(model, operation, answer, "output")
        return answer

    def error(self, refusal: Refusal) -> tuple[Any, dict[str, str]]:
        return {"__type": refusal.code, "message": refusal.message}, {"x-amzn-ErrorType": refusal.code}

    def _check(self, model: ServiceModel, operation: str, value: Any, side: str) -> None:
        described = model.operation_model(operation)
        shape = described.input_shape if side == "input" else described.output_shape
        faults = list(misfits(shape, value, operation)) if shape is not None else []
        self.faults += [f"{side} of {fault}" for fault in faults]
        if faults and side == "input":
            raise Refusal("ValidationException", "; ".join(faults))

    # -- SageMaker -------------------------------------------------------------------------------------------------

    def _create_training_job(self, body: Mapping[str, Any]) -> Any:
        name = body["TrainingJobName"]
        if self._named(name, "sagemaker"):
            raise Refusal("ResourceInUse", "Training job names must be unique within an AWS account and region")
        algorithm = body["AlgorithmSpecification"]
        command = [*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]]
        self._submit(name, name, "sagemaker", command, body.get("Environment", {}), body)
        return {"TrainingJobArn": _arn("sagemaker", f"training-job/{name}")}

    def _describe_training_job(self, body: Mapping[str, Any]) -> Any:
        job = self._training_job(body)
        self._look(job)
        status, secondary, reason = _sagemaker_status(job)
        return {
            "TrainingJobName": job.name,
            "TrainingJobArn": _arn("sagemaker", f"training-job/{job.name}"),
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
            "CreationTime": job.created_at,
            "ModelArtifacts": {"S3ModelArtifacts": f"{job.request['OutputDataConfig']['S3OutputPath']}/{job.name}"},
            **{name: job.request[name] for name in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition")},
            **({"FailureReason": reason} if reason else {}),
            **({"TrainingStartTime": job.created_at} if job.started else {}),
        }

    def _stop_training_job(self, body: Mapping[str, Any]) -> Any:
        job = self._training_job(body)
        if job.state == ENDED:
            status = _sagemaker_status(job)[0]
            message = f"The request was rejected because the training job is in status {status}."
            raise Refusal("ValidationException", message)
        self._end(job, "asked", "")
        return {}

    def _training_job(self, body: Mapping[str, Any]) -> StandInJob:
        found = self._named(body["TrainingJobName"], "sagemaker")
        if not found:
            raise Refusal("ValidationException", "Requested resource not found.")
        return found[0]

    # -- Batch -----------------------------------------------------------------------------------------------------

    def _submit_job(self, body: Mapping[str, Any]) -> Any:
        if body["jobQueue"] not in self.queues:
            raise Refusal("ClientException", f"JobQueue {body['jobQueue']} not found")
        if body["jobDefinition"].partition(":")[0] not in self.definitions:
            raise Refusal("ClientException", f"JobDefinition {body['jobDefinition']} not found")
        overrides = body["containerOverrides"]
        environment = {item["name"]: item["value"] for item in overrides["environment"]}
        identity = f"00000000-0000-0000-0000-{next(self._numbers):012d}"
        self._submit(body["jobName"], identity, "batch", overrides["command"], environment, body)
        return {"jobName": body["jobName"], "jobId": identity, "jobArn": _arn("batch", f"job/{identity}")}

    def _list_jobs(self, body: Mapping[str, Any]) -> Any:
        if body["jobQueue"] not in self.queues:
            raise Refusal("ClientException", f"JobQueue {body['jobQueue']} not found")
        [wanted] = body["filters"]
        if self._uses_up(self.unlisted, "ListJobs"):
            return {"jobSummaryList": []}
        found = [job for name in wanted["values"] for job in self._named(name, "batch")]
        return {"jobSummaryList": [_batch_status(job) for job in sorted(found, key=lambda job: -job.created_at)]}

    def _describe_jobs(self, body: Mapping[str, Any]) -> Any:
        described = []
        for job in self.jobs:
            if job.id in body["jobs"]:
                self._look(job)
                container = {"image": IMAGE, **({"exitCode": job.exit_code} if job.exit_code is not None else {})}
                if job.started:
                    container["logStreamName"] = f"{DEFINITION}/default/{job.id}"
                if job.exit_code == 137 and job.ending is None:
                    container["reason"] = "OutOfMemoryError: Container killed due to memory usage"
                described.append(
                    {
                        **_batch_status(job),
                        "jobQueue": _arn("batch", f"job-queue/{QUEUE}"),
                        "jobDefinition": _arn("batch", f"job-definition/{DEFINITION}:1"),
                        "startedAt": int(job.created_at * 1000),
                        "container": container,
                    }
                )
        return {"jobs": described}

    def _terminate_job(self, body: Mapping[str, Any]) -> Any:
        for job in self.jobs:
            if job.id == body["jobId"] and job.state != ENDED:
                self._end(job, "asked", body["reason"])
        return {}

    def _describe_job_definitions(self, body: Mapping[str, Any]) -> Any:
        wanted = body.get("jobDefinitionName") or body["jobDefinitions"][0].partition(":")[0]
        found = [
            {
                "jobDefinitionName": name,
                "jobDefinitionArn": _arn("batch", f"job-definition/{name}:1"),
                "revision": 1,
                "status": "ACTIVE",
                "type": "container",
                "containerProperties": {"image": image},
            }
            for name, image in self.definitions.items()
            if name == wanted
        ]
        return {"jobDefinitions": found}

    # -- CloudWatch Logs -------------------------------------------------------------------------------------------

    def _describe_log_streams(self, body: Mapping[str, Any]) -> Any:
        name = body["logStreamNamePrefix"].partition("/")[0]
        started = [job for job in self._named(name, "sagemaker") if job.started]
        return {"logStreams": [{"logStreamName": f"{job.name}/algo-1-1700000000"} for job in started]}

    def _get_log_events(self, body: Mapping[str, Any]) -> Any:
        parts = body["logStreamName"].split("/")
        job = next((job for job in self.jobs if job.id in parts), None)
        if job is None:
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        lines = job.lines[-body.get("limit", 10000) :]
        return {"events": [{"timestamp": 1700000000000, "message": line} for line in lines]}

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _named(self, name: str, service: str) -> list[StandInJob]:
        return [job for job in self.jobs if job.name == name and job.service == service]


def _sagemaker_status(job: StandInJob) -> tuple[str, str, str]:
    """TrainingJobStatus, SecondaryStatus and FailureReason."""
    match job.state, job.ending:
        case "waiting", "spot":
            return "InProgress", "Interrupted", ""
        case "waiting", _:
            return "InProgress", "Starting", ""
        case "running", "asked":
            return "Stopping", "Stopping", ""
        case "running", _:
            return "InProgress", "Training", ""
        case _, "asked":
            return "Stopped", "Stopped", ""
        case _, "spot":
            return "Stopped", "MaxWaitTimeExceeded", ""
        case _, "host":
            return "Failed", "Failed", "InternalServerError: We encountered an internal error. Please try again."
        case _, "capacity":
            reason = "CapacityError: Unable to provision requested ML compute capacity. Please retry."
            return "Failed", "Failed", reason
    if job.exit_code == 0:
        return "Completed", "Completed", ""
    return "Failed", "Failed", f"AlgorithmError: , exit code: {job.exit_code}"


def _batch_status(job: StandInJob) -> dict[str, Any]:
    """A JobSummary."""
    states = {"waiting": "RUNNABLE", RUNNING: "RUNNING", ENDED: "SUCCEEDED" if job.exit_code == 0 else "FAILED"}
    reasons = {
        "spot": "Host EC2 (instance i-0123456789abcdef0) terminated.",
        "host": "Host EC2 (instance i-0123456789abcdef0) terminated.",
        "capacity": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
        "asked": job.reason,
        None: "Essential container in task exited",
    }
    summary: dict[str, Any] = {
        "jobId": job.id,
        "jobArn": _arn("batch", f"job/{job.id}"),
        "jobName": job.name,
        "createdAt": int(job.created_at * 1000),
        "status": states[job.state],
        "isTerminated": job.ending == "asked",
    }
    if job.state == ENDED:
        summary["statusReason"] = reasons[job.ending]
    return summary


def misfits(shape: Shape, value: Any, where: str) -> list[str]:
    """Everything in a request or an answer that a service's model does not allow."""
    metadata: Any = shape.metadata
    match shape.type_name:
        case "structure":
            members: Mapping[str, Shape] = shape.members  # type: ignore[attr-defined]
            if not isinstance(value, dict):
                return [f"{where}: not a structure"]
            faults = [f"{where}.{name}: not in the model" for name in value if name not in members]
            faults += [f"{where}.{name}: missing" for name in metadata.get("required", []) if name not in value]
            known = [(name, item) for name, item in value.items() if name in members]
            return faults + [fault for name, item in known for fault in misfits(members[name], item, f"{where}.{name}")]
        case "list":
            if not isinstance(value, list):
                return [f"{where}: not a list"]
            faults = [f"{where}: {len(value)} items"] if not _within(len(value), metadata) else []
            member: Shape = shape.member  # type: ignore[attr-defined]
            return faults + [fault for item in value for fault in misfits(member, item, f"{where}[]")]
        case "map":
            if not isinstance(value, dict):
                return [f"{where}: not a map"]
            faults = [f"{where}: {len(value)} items"] if not _within(len(value), metadata) else []
            kind: Shape = shape.value  # type: ignore[attr-defined]
            key: Shape = shape.key  # type: ignore[attr-defined]
            faults += [fault for name in value for fault in misfits(key, name, f"{where} key")]
            return faults + [fault for name, item in value.items() for fault in misfits(kind, item, f"{where}.{name}")]
        case "string":
            if not isinstance(value, str):
                return [f"{where}: not a string"]
            faults = [f"{where}: {len(value)} characters"] if not _within(len(value), metadata) else []
            if metadata.get("enum") and value not in metadata["enum"]:
                faults.append(f"{where}: {value!r} is none of the model's values")
            if metadata.get("pattern") and not _matches(metadata["pattern"], value):
                faults.append(f"{where}: {value!r} does not match {metadata['pattern']}")
            return faults
        case "integer" | "long":
            fits = isinstance(value, int) and not isinstance(value, bool) and _within(value, metadata)
            return [] if fits else [f"{where}: {value!r} is no such number"]
        case "boolean":
            return [] if isinstance(value, bool) else [f"{where}: not true or false"]
    return []


def _within(size: int, metadata: Mapping[str, Any]) -> bool:
    return bool(metadata.get("min", size) <= size <= metadata.get("max", size))


def _matches(pattern: str, value: str) -> bool:
    for java, python in {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{M}": r"\w"}.items():
        pattern = pattern.replace(java, python)
    return re.fullmatch(pattern, value) is not None


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
