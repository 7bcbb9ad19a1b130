"""A stand-in for SageMaker, AWS Batch and CloudWatch Logs on loopback that runs the submitted jobs as real processes.

It speaks the HTTP of the calls that we make, checks requests and answers against botocore's own service models, and can
behave as AWS does on a bad day: see `Fate` for one job, `AwsStandIn` for its answers.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape

REPOSITORY = Path(__file__).parent.parent
ACCOUNT = "123456789012"
REGION = "eu-central-1"
QUEUE = "gpu"
DEFINITION = "trainer"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/trainer@sha256:{'0' * 64}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/trainer"
RUNNING, ENDED = "running", "ended"
BATCH_PATHS = {
    "/v1/submitjob": "SubmitJob",
    "/v1/listjobs": "ListJobs",
    "/v1/describejobs": "DescribeJobs",
    "/v1/terminatejob": "TerminateJob",
    "/v1/describejobdefinitions": "DescribeJobDefinitions",
}


# Backends as a trainer file describes them.
SAGEMAKER = {
    "kind": "sagemaker",
    "image": IMAGE,
    "role": ROLE,
    "instance_type": "ml.g6e.xlarge",
    "tags": {"project": "master"},
}
BATCH = {"kind": "batch", "queue": QUEUE, "definition": DEFINITION, "image": IMAGE, "tags": {"project": "master"}}


@dataclass
class Fate:
    """What becomes of a submitted job."""

    waits: int = 0  # looks at it before it starts
    no_capacity: bool = False  # it never starts
    interrupt_at: str | None = None  # as spot does, once its output holds this: SIGTERM, then SIGKILL
    restarts: bool = False  # SageMaker starts an interrupted job again, under its name
    host_fails: bool = False  # SIGKILL without a warning, once its output holds `interrupt_at`


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class StandInJob:
    """A submitted job and its process."""

    name: str
    id: str
    service: str
    command: list[str]
    environment: Mapping[str, str]
    request: Mapping[str, Any]
    fate: Fate
    created_at: float
    state: str = "waiting"
    ending: str | None = None  # "spot", "asked", "capacity", "host"
    reason: str = ""
    exit_code: int | None = None
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    started: int = 0


class AwsStandIn:
    """The services. What happens to the next submitted jobs is in `fates`; the other attributes decide the rest."""

    def __init__(self, environment: Mapping[str, str], grace_seconds: float = 20) -> None:
        """
        Args:
            environment: what the image and the job's role give every job, beside what its request says.
            grace_seconds: between SIGTERM and SIGKILL.
        """
        self.environment = dict(environment)
        self.grace_seconds = grace_seconds
        self.fates: list[Fate] = []
        self.jobs: list[StandInJob] = []
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.faults: list[str] = []  # requests and answers that do not fit AWS's models
        self.refusals: dict[str, list[Refusal]] = {}  # by operation: the next answers, instead of doing anything
        self.lost_requests: Counter[str] = Counter()  # by operation: so many connections break before it is heard
        self.lost_answers: Counter[str] = Counter()  # by operation: so many connections break after it was done
        self.unlisted: Counter[str] = Counter()  # by operation: so many ListJobs do not know yet what was submitted
        self.queues = {QUEUE}
        self.definitions = {DEFINITION: IMAGE}
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        session = botocore.session.get_session()
        self._models = {name: session.get_service_model(name) for name in ("sagemaker", "batch", "logs")}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End the service and every process that it started."""
        self._server.shutdown()
        self._server.server_close()
        for job in self.jobs:
            if job.process is not None:
                _signal(job.process, signal.SIGKILL)
                job.process.wait()

    @property
    def endpoints(self) -> dict[str, str]:
        """The environment under which boto3 finds these services."""
        return {f"AWS_ENDPOINT_URL_{name}": self.address for name in ("SAGEMAKER", "BATCH", "CLOUDWATCH_LOGS")}

    def running(self) -> list[StandInJob]:
        """Jobs whose process runs."""
        return [job for job in self.jobs if job.process is not None and job.process.poll() is None]

    def made(self, operation: str) -> list[Mapping[str, Any]]:
        """The bodies of all requests for an operation."""
        return [body for made, body in self.calls if made == operation]

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                target = self.headers.get("X-Amz-Target", "")
                operation = BATCH_PATHS.get(self.path) or target.partition(".")[2]
                service = "batch" if self.path in BATCH_PATHS else "logs" if target.startswith("Logs") else "sagemaker"
                try:
                    answer = stand_in._answer(service, operation, body)
                except ConnectionAbortedError:
                    self.close_connection = True
                    return
                except Refusal as refusal:
                    error = {"__type": refusal.code, "message": refusal.message}
                    self._send(refusal.status, error, {"x-amzn-ErrorType": refusal.code})
                except Exception as error:
                    stand_in.faults.append(f"the stand-in failed at {operation}: {error!r}")
                    raise
                else:
                    self._send(200, answer, {})

            def _send(self, status: int, content: Any, headers: Mapping[str, str]) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _answer(self, service: str, operation: str, body: Mapping[str, Any]) -> Any:
        with self._lock:
            self.calls.append((operation, body))
            if self._uses_up(self.lost_requests, operation):
                raise ConnectionAbortedError
            if self.refusals.get(operation):
                raise self.refusals[operation].pop(0)
            model = self._models[service]
            self._check(model, operation, body, "input")
            answer = getattr(self, f"_{_snake(operation)}")(body)
            self._check(model, operation, answer, "output")
            if self._uses_up(self.lost_answers, operation):
                raise ConnectionAbortedError
            return answer

    @staticmethod
    def _uses_up(counter: Counter[str], operation: str) -> bool:
        if counter[operation] <= 0:
            return False
        counter[operation] -= 1
        return True

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

    def _submit(
        self,
        name: str,
        identity: str,
        service: str,
        command: list[str],
        environment: Mapping[str, str],
        request: Mapping[str, Any],
    ) -> None:
        fate = self.fates.pop(0) if self.fates else Fate()
        job = StandInJob(name, identity, service, command, environment, request, fate, time.time())
        self.jobs.append(job)
        if fate.no_capacity:
            job.state, job.ending = ENDED, "capacity"
        elif not fate.waits:
            self._start(job)

    def _look(self, job: StandInJob) -> None:
        """Somebody looks at a job: one that waits comes nearer to its start."""
        if job.state == "waiting":
            job.fate.waits -= 1
            if job.fate.waits <= 0:
                self._start(job)

    def _start(self, job: StandInJob) -> None:
        python, *arguments = job.command
        assert python == "python", "the image has no other interpreter"
        job.state, job.started, job.ending = RUNNING, job.started + 1, None
        job.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **self.environment, **job.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._follow, args=(job, job.process), daemon=True).start()

    def _follow(self, job: StandInJob, process: "subprocess.Popen[str]") -> None:
        """Read a job's output to its end."""
        assert process.stdout is not None
        for line in process.stdout:
            job.lines.append(line.rstrip("\n"))
            if job.fate.interrupt_at and job.fate.interrupt_at in line and job.started == 1:
                self._end(job, "host" if job.fate.host_fails else "spot", "")
        code = process.wait()
        with self._lock:
            job.exit_code = 128 - code if code < 0 else code
            if job.ending == "spot" and job.fate.restarts:
                job.state, job.fate.waits = "waiting", 2
            else:
                job.state = ENDED

    def _end(self, job: StandInJob, how: str, reason: str) -> None:
        """SIGTERM, SIGKILL after the grace; the job ends when its process has."""
        with self._lock:
            if job.ending is not None:
                return
            job.ending, job.reason = how, reason
            if job.state == "waiting":
                job.state = ENDED
                return
        if job.process is not None:
            _signal(job.process, signal.SIGKILL if how == "host" else signal.SIGTERM)
            killing = threading.Timer(self.grace_seconds, _signal, (job.process, signal.SIGKILL))
            killing.daemon = True
            killing.start()


def _signal(process: "subprocess.Popen[str]", number: int) -> None:
    """SIGTERM goes to a container's first process, SIGKILL to all of them."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)


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
