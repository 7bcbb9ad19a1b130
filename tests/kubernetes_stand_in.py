"""A stand-in for a Kubernetes API server on loopback that runs the pods of Jobs as real processes.

It speaks the HTTP of the calls that we make, and behaves as API server, Job controller, kubelet and the cluster's names
do together. The caller has the Role of infra/helm/training.yaml. Requests and answers must fit the official client's
models. See `tests.stand_in_jobs`.
"""

import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from tests.aws_stand_in import IMAGE
from tests.stand_in_jobs import ENDED, REPOSITORY, RUNNING, Fate, JobService, Refusal, StandInJob

MANIFESTS = list(yaml.safe_load_all((REPOSITORY / "infra" / "helm" / "training.yaml").read_text(encoding="utf-8")))
NAMESPACE = "training"
# The backend as a trainer file describes it.
KUBERNETES = {"kind": "kubernetes", "namespace": NAMESPACE, "image": IMAGE, "labels": {"project": "master"}}
PATH = re.compile(r"/api(s/batch)?/v1/namespaces/([^/]+)/(jobs|pods|events)(?:/([^/]+))?(/log)?")
PERMISSIONS = {  # by operation: verb and resource of a Role
    "create jobs": "create jobs",
    "read jobs": "get jobs",
    "delete jobs": "delete jobs",
    "list pods": "list pods",
    "list events": "list events",
    "read log": "get pods/log",
}
INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass
class Job:
    """A Job of the cluster with its pods, one process each."""

    body: Mapping[str, Any]
    created: float
    pods: list[StandInJob]
    deleted: str | None = None  # how what it owns is deleted: in the foreground, the Job is there until that is gone


class KubernetesStandIn(JobService):
    """One cluster with one namespace."""

    def __init__(self, environment: Mapping[str, str], grace_seconds: float = 20) -> None:
        super().__init__(environment, grace_seconds)
        self.known: dict[str, Job] = {}
        self.secrets = {("master-keys", "hf-token"): "hf_secret"}
        self.denied: str | None = None  # why the Job controller may make no pods
        self.waiting: dict[str, str] | None = None  # what the container of every new pod waits for
        from kubernetes.client import ApiClient, Configuration  # takes a second

        self._client = ApiClient(Configuration())

    def write_kubeconfig(self, path: Path) -> None:
        """A kubeconfig file with two contexts; the current one is this server."""
        clusters = {"here": self.address, "gone": "http://127.0.0.1:9"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": name, "cluster": {"server": address}} for name, address in clusters.items()],
            "users": [{"name": "me", "user": {"token": "token-of-the-kubeconfig"}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in clusters],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def operation(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> tuple[str, dict[str, Any]]:
        parts = urlsplit(path)
        match = PATH.fullmatch(parts.path)
        assert match is not None, f"no such path: {path}"
        _, namespace, kind, name, log = match.groups()
        verb = {"GET": "read" if name else "list", "POST": "create", "DELETE": "delete"}[method]
        operation = "read log" if log else f"{verb} {kind}"
        return operation, {"namespace": namespace, "name": name, "query": dict(parse_qsl(parts.query)), "body": body}

    def carry_out(self, operation: str, body: Mapping[str, Any]) -> Any:
        if body["namespace"] != NAMESPACE:  # only a creation looks for the namespace
            missing = (
                f'namespaces "{body["namespace"]}"' if operation == "create jobs" else f'jobs.batch "{body["name"]}"'
            )
            raise Refusal("NotFound", f"{missing} not found", 404)
        verb, resource = PERMISSIONS[operation].split(" ")
        if PERMISSIONS[operation] not in permitted():
            message = f'User "me" cannot {verb} resource "{resource}" in the namespace "{NAMESPACE}"'
            raise Refusal("Forbidden", message, 403)
        answer = getattr(self, f"_{operation.replace(' ', '_')}")(body)
        models = {"read jobs": "V1Job", "list pods": "V1PodList", "list events": "CoreV1EventList"}
        if model := models.get(operation):
            self.faults += self._misfits(model, answer, operation)
        return answer

    def error(self, refusal: Refusal) -> tuple[Any, dict[str, str]]:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": refusal.code}
        return {**status, "message": refusal.message, "code": refusal.status}, {}

    def _misfits(self, model: str, value: Any, named: str) -> list[str]:
        """What the client's model of an object does not have, or has in another type."""
        answer = type("Answer", (), {"data": json.dumps(value)})
        try:
            again = self._client.sanitize_for_serialization(self._client.deserialize(answer, model))
        except (ValueError, TypeError, AttributeError) as error:
            return [f"{named}: {error!r}"]
        return [f"{named}: {difference}" for difference in _differences(value, again, model)]

    # -- calls -----------------------------------------------------------------------------------------------------

    def _create_jobs(self, body: Mapping[str, Any]) -> Any:
        job = body["body"]
        assert body["query"]["fieldValidation"] == "Strict"
        if faults := self._misfits("V1Job", job, "create jobs"):
            self.faults += faults
            raise Refusal("BadRequest", f"strict decoding error: {'; '.join(faults)}", 400)
        name, specification = job["metadata"]["name"], job["spec"]
        if name in self.known:
            raise Refusal("AlreadyExists", f'jobs.batch "{name}" already exists', 409)
        if len(name) > 61:
            raise Refusal("Invalid", f'Job.batch "{name}" is invalid: will not able to create pod with this name', 422)
        self.known[name] = made = Job(job, time.time(), [])
        if self.denied is None:
            port, fate = _free_port(), self._next_fate() if self.waiting is None else Fate(waits=1_000_000)
            for index in range(specification["completions"]):
                self._run(made, index, port, replace(fate))
        return job

    def _run(self, job: Job, index: int, port: int, fate: Fate) -> None:
        """Make the pod of an index, as the Job controller, kubelet and the names of the cluster do together."""
        name = job.body["metadata"]["name"]
        [container] = job.body["spec"]["template"]["spec"]["containers"]
        environment = {"JOB_COMPLETION_INDEX": str(index)}
        for item in container["env"]:
            source = item.get("valueFrom", {}).get("secretKeyRef")
            value = self.secrets[source["name"], source["key"]] if source else _expanded(item["value"], environment)
            environment[item["name"]] = value
        arguments = [_expanded(argument, environment) for argument in container["args"]]
        if job.body["spec"]["template"]["spec"].get("subdomain"):
            host = f"{name}-0.{job.body['spec']['template']['spec']['subdomain']}"
            there = {f"--master-addr={host}": "--master-addr=127.0.0.1", "--master-port=29500": f"--master-port={port}"}
            arguments = [there.get(argument, argument) for argument in arguments]
        command = [*container["command"], *arguments]
        pod = self._submit(name, f"{name}-{index}-abcde", str(index), command, environment, {}, fate)
        if pod.ending == "capacity":
            pod.state = "waiting"  # a pod without a node is there, and waits
        job.pods.append(pod)

    def _read_jobs(self, body: Mapping[str, Any]) -> Any:
        job = self._existing(body["name"])
        for pod in job.pods:
            if pod.ending != "capacity" and self.waiting is None:
                self._look(pod)
        return self._described(job)

    def _delete_jobs(self, body: Mapping[str, Any]) -> Any:
        job = self._existing(body["name"])
        job.deleted = body["query"].get("propagationPolicy", "Background")
        for pod in job.pods:
            pod.ending = None if pod.state == "waiting" else pod.ending
            self._end(pod, "asked", "")
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _list_pods(self, body: Mapping[str, Any]) -> Any:
        key, _, name = body["query"]["labelSelector"].partition("=")
        assert key == "job-name"
        job = self.known.get(name)
        # A pod that never started is gone with its Job, one whose host failed is gone with its node.
        gone = (
            [pod for pod in job.pods if pod.state == ENDED and (not pod.started or pod.ending == "host" or job.deleted)]
            if job
            else []
        )
        pods = [self._pod(job, pod) for pod in job.pods if pod not in gone] if job else []
        return {"kind": "PodList", "apiVersion": "v1", "items": pods}

    def _read_log(self, body: Mapping[str, Any]) -> Any:
        pod = next((pod for pod in self.jobs if pod.id == body["name"]), None)
        if pod is None:
            raise Refusal("NotFound", f'pods "{body["name"]}" not found', 404)
        if not pod.started:
            raise Refusal("BadRequest", f'container "trainer" in pod "{pod.id}" is waiting to start', 400)
        assert body["query"]["container"] == "trainer"
        return "".join(f"{line}\n" for line in pod.lines[-int(body["query"]["tailLines"]) :])

    def _list_events(self, body: Mapping[str, Any]) -> Any:
        name = dict(part.split("=") for part in body["query"]["fieldSelector"].split(","))["involvedObject.name"]
        event = {
            "metadata": {"name": f"{name}.1", "namespace": NAMESPACE},
            "involvedObject": {"kind": "Job", "name": name},
            "reason": "FailedCreate",
            "message": self.denied,
            "type": "Warning",
        }
        return {"kind": "EventList", "apiVersion": "v1", "items": [event] if self.denied else []}

    # -- objects ---------------------------------------------------------------------------------------------------

    def _existing(self, name: str) -> Job:
        job = self.known.get(name)
        if job is not None and job.deleted and all(pod.state == ENDED for pod in job.pods):
            del self.known[name]
            job = None
        if job is None or job.deleted == "Background":
            raise Refusal("NotFound", f'jobs.batch "{name}" not found', 404)
        return job

    def _described(self, job: Job) -> Any:
        failed = [
            pod for pod in job.pods if pod.state == ENDED and (pod.exit_code != 0 or pod.ending in ("spot", "host"))
        ]
        running = [pod for pod in job.pods if pod.state != ENDED]
        conditions = []
        if failed and not job.deleted:
            reason, message = _failure(failed[0])
            for pod in running:
                self._end(pod, "asked", "")
            conditions = [_condition("FailureTarget", reason, message)]
            if not running:
                conditions.append(_condition("Failed", reason, message))
        elif job.pods and not running:
            conditions = [_condition(kind, "CompletionsReached", "") for kind in ("SuccessCriteriaMet", "Complete")]
        created = {"creationTimestamp": _time(job.created)}
        started = {"startTime": _time(job.created - 3600 * bool(self.denied))}
        deleted = {"deletionTimestamp": _time(time.time())} if job.deleted else {}
        return {
            **job.body,
            "metadata": {**job.body["metadata"], **created, **deleted},
            "status": {"active": len(running), **started, **({"conditions": conditions} if conditions else {})},
        }

    def _pod(self, job: Job, pod: StandInJob) -> Any:
        long_ago = pod.ending == "capacity" or self.waiting is not None
        since = _time(pod.created_at - 3600 * long_ago)
        placed = pod.ending != "capacity"
        scheduled: dict[str, Any] = {"type": "PodScheduled", "status": str(placed), "lastTransitionTime": since}
        if not placed:
            scheduled |= {
                "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
            }
        if pod.state == "waiting":
            phase, state = "Pending", {"waiting": self.waiting or {"reason": "ContainerCreating"}}
        elif pod.state == RUNNING:
            phase, state = "Running", {"running": {"startedAt": since}}
        else:
            phase = "Succeeded" if pod.exit_code == 0 else "Failed"
            reason = {0: "Completed", 137: "OOMKilled"}.get(pod.exit_code or 0, "Error")
            state = {"terminated": {"exitCode": pod.exit_code, "reason": reason, "finishedAt": _time(time.time())}}
        status = {"name": "trainer", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0, "state": state}
        return {
            "metadata": {
                "name": pod.id,
                "namespace": NAMESPACE,
                "creationTimestamp": since,
                "annotations": {INDEX: pod.service},
                "labels": {"job-name": pod.name},
            },
            "spec": job.body["spec"]["template"]["spec"],
            "status": {"phase": phase, "conditions": [scheduled], "containerStatuses": [status] if placed else []},
        }


def permitted() -> set[str]:
    """What the Role of infra/helm/training.yaml permits, such as `get pods/log`."""
    [role] = [manifest for manifest in MANIFESTS if manifest["kind"] == "Role"]
    return {f"{verb} {resource}" for rule in role["rules"] for verb in rule["verbs"] for resource in rule["resources"]}


def _failure(pod: StandInJob) -> tuple[str, str]:
    """The Job controller's reason and message, of the deadline or on a pod that its failure policy names."""
    if pod.ending == "time":
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    message = f"Container trainer for pod {NAMESPACE}/{pod.id} failed with exit code {pod.exit_code}"
    if pod.ending in ("spot", "host"):
        message = f"Pod {NAMESPACE}/{pod.id} has condition DisruptionTarget"
    return "PodFailurePolicy", f"{message} matching FailJob rule at index {int('exit code' in message)}"


def _condition(kind: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def _expanded(value: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` is a variable, `$$` a dollar sign."""
    return re.sub(
        r"\$\$|\$\(([^)]*)\)", lambda match: "$" if match[1] is None else environment.get(match[1], match[0]), value
    )


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _differences(sent: Any, understood: Any, where: str) -> list[str]:
    """Where what the client understood is not what was sent; times may be written otherwise."""
    if isinstance(sent, dict) and isinstance(understood, dict):
        return [fault for key in sent for fault in _differences(sent[key], understood.get(key), f"{where}.{key}")]
    if isinstance(sent, list) and isinstance(understood, list) and len(sent) == len(understood):
        pairs = zip(sent, understood, strict=True)
        return [fault for pair in pairs for fault in _differences(*pair, f"{where}[]")]
    same = sent == understood or (where.endswith(("Time", "Timestamp", "At")) and bool(understood))
    return [] if same else [f"{where}: {sent!r} is {understood!r} in the client's model"]
