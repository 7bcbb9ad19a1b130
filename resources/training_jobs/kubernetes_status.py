"""What a Kubernetes Job and its pods say, as the state that all backends share."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from resources.training_jobs.backend import JobState, JobStatus
from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

CONTAINER = "trainer"
FAULT_MINUTES = 5  # for what a registry or a Secret that comes late may still put right
DISRUPTED = "DisruptionTarget"  # a condition of pods, and in the message of a Job that its failure policy ended
EXIT_CODE = re.compile(r"exit code (\d+)")
IMAGE_FAULTS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
CONTAINER_FAULTS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
IMAGE_ADVICE = "check backend.image, and that the nodes may pull it (backend.image_pull_secrets)"
CONTAINER_ADVICE = "check backend.secrets and the Secrets of the namespace"
UNPLACED_ADVICE = "check backend.gpus, node_selector and tolerations, or raise backend.start_minutes"
PLACED_ADVICE = "`kubectl describe pod` shows what it waits for; raise backend.start_minutes where that takes so long"
REFUSED_ADVICE = "the namespace accepts no such pods: check its quota, its service account and its admission rules"


def read_status(job: Any, pods: Sequence[Any], refusals: Sequence[str], start_minutes: float, now: float) -> JobStatus:
    """The state of a Job.

    Args:
        job: V1Job.
        pods: V1Pod of all its nodes.
        refusals: why the cluster makes no pods, newest last.
        start_minutes: longest time in which a pod gets no node.
        now: seconds since 1970.

    Returns:
        Where it has ended and `has_ended` does not say so, its pods will never start.
    """
    conditions = _conditions(job)
    if job.metadata.deletion_timestamp:
        return JobStatus(JobState.STOPPING, "it was deleted")
    if has_ended(job):
        succeeded = "Complete" in conditions
        return JobStatus(JobState.SUCCEEDED) if succeeded else _failed(conditions["Failed"], pods)
    if ending := {"Failed", "FailureTarget", "SuccessCriteriaMet"} & conditions.keys():
        return JobStatus(JobState.STOPPING, conditions[min(ending)].message or "")
    if "Suspended" in conditions:
        return JobStatus(JobState.WAITING, "it is suspended, as queues such as Kueue do")
    if lacks_pods(job, pods):
        return _unmade(job, refusals, now)
    states = [_pending(pod, start_minutes, now) for pod in pods if pod.status.phase == "Pending"]
    ended = [status for status in states if status.ended]
    return (ended or states or [JobStatus(JobState.RUNNING)])[0]


def has_ended(job: Any) -> bool:
    """Whether the cluster runs no pod of the Job any more, and will not again."""
    return bool({"Complete", "Failed"} & _conditions(job).keys()) and not job.status.terminating


def lacks_pods(job: Any, pods: Sequence[Any]) -> bool:
    """Whether the cluster has not made the pods of all nodes yet; those that succeeded may be gone."""
    return len(pods) < (job.spec.parallelism or 1) and not job.status.succeeded


def first_failed(pods: Sequence[Any]) -> Any:
    """The pod whose container failed first; None where none has."""
    failed = [pod for pod in pods if (end := _end(pod)) is not None and end.exit_code != 0]
    return min(failed, key=lambda pod: str(_end(pod).finished_at or ""), default=None)


def _failed(condition: Any, pods: Sequence[Any]) -> JobStatus:
    reason = ": ".join(part for part in (condition.reason, condition.message) if part)
    if condition.reason == "DeadlineExceeded":
        return JobStatus(JobState.TIMED_OUT, f"{reason}; raise backend.max_hours; what was saved is kept")
    if DISRUPTED in reason or any(DISRUPTED in _conditions(pod) for pod in pods):  # the others fail because of it
        return JobStatus(JobState.INTERRUPTED, reason)
    for pod in pods:
        end = _end(pod)
        if end is not None and end.reason == "OOMKilled":
            advice = "raise backend.memory, or lower the recipe's batch_size or max_tokens"
            return JobStatus(JobState.FAILED, f"{pod.metadata.name} ran out of memory (OOMKilled); {advice}")
        if pod.status.reason == "Evicted":
            advice = "raise backend.disk or backend.memory"
            return JobStatus(JobState.FAILED, f"{pod.metadata.name} was evicted: {pod.status.message}; {advice}")
    found = EXIT_CODE.search(reason)
    failed = first_failed(pods)
    end = _end(failed) if failed else None
    code = int(found[1]) if found else end.exit_code if end else None
    state = JobState.INTERRUPTED if code in (EXIT_INTERRUPTED, EXIT_ORPHANED) else JobState.FAILED
    words = [reason, None if found or end is None else f"exit code {code}", end.message if end else None]
    return JobStatus(state, "; ".join(word for word in words if word))


def _pending(pod: Any, start_minutes: float, now: float) -> JobStatus:
    """The state of a Job one of whose pods has not started."""
    name, containers = pod.metadata.name, pod.status.container_statuses or []
    scheduled = [condition for condition in pod.status.conditions or [] if condition.type == "PodScheduled"]
    placed = any(condition.status == "True" for condition in scheduled)
    waited = _minutes(scheduled[0].last_transition_time if placed else pod.metadata.creation_timestamp, now)
    waiting: Any = next((status.state.waiting for status in containers if status.state and status.state.waiting), None)
    fault = waiting.reason if waiting else None
    if fault in IMAGE_FAULTS | CONTAINER_FAULTS:
        described = f"{name}: {fault}" + (f", {waiting.message}" if waiting.message else "")
        if waited < FAULT_MINUTES:
            return JobStatus(JobState.WAITING, described)
        advice = IMAGE_ADVICE if fault in IMAGE_FAULTS else CONTAINER_ADVICE
        return JobStatus(JobState.FAILED, f"{described}; {advice}")
    unplaced = scheduled[0].message if scheduled else None
    described = (fault or "its container starts") if placed else (unplaced or "it waits for a node")
    if waited < start_minutes:
        return JobStatus(JobState.WAITING, f"{name}: {described}")
    return JobStatus(
        JobState.NO_CAPACITY,
        f"{name} did not start within {start_minutes:g} minutes: {described}; "
        f"{PLACED_ADVICE if placed else UNPLACED_ADVICE}",
    )


def _unmade(job: Any, refusals: Sequence[str], now: float) -> JobStatus:
    """The state of a Job some of whose pods are not made."""
    if not refusals:
        return JobStatus(JobState.WAITING)
    if _minutes(job.status.start_time, now) < FAULT_MINUTES:  # a queue such as Kueue starts a Job late
        return JobStatus(JobState.WAITING, refusals[-1])
    return JobStatus(JobState.FAILED, f"{refusals[-1]}; {REFUSED_ADVICE}")


def _conditions(described: Any) -> dict[str, Any]:
    """The conditions of a Job or a pod that are true, by type."""
    return {condition.type: condition for condition in described.status.conditions or [] if condition.status == "True"}


def _end(pod: Any) -> Any:
    """How the pod's container ended; None where it has not."""
    return next(
        (status.state.terminated for status in pod.status.container_statuses or [] if status.state.terminated), None
    )


def _minutes(since: datetime | None, now: float) -> float:
    return (now - since.timestamp()) / 60 if since else 0.0
