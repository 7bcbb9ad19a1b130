"""Kubernetes Jobs: one pod on each node, in a namespace that infra/helm/training.yaml sets up.

A Job's name is the claim: the API server accepts it once. A Job runs each pod once; another attempt is another Job.
"""

import time
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from resources.configuration import Configuration
from resources.lake.store import Store, aws_region
from resources.training_jobs import kubernetes_client
from resources.training_jobs.backend import (
    WITH_DIGEST,
    Backend,
    BackendError,
    BackendJob,
    JobState,
    JobStatus,
    require_s3,
)
from resources.training_jobs.kubernetes_status import CONTAINER, first_failed, has_ended, lacks_pods, read_status

NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
APPLICATION = "app.kubernetes.io/name"
OWN_LABELS = {APPLICATION: "master-training", "app.kubernetes.io/managed-by": "master-dagster"}
INDEX = "batch.kubernetes.io/job-completion-index"
PORT = 29500  # of node 0, where the processes of several nodes meet
IMAGE_SECONDS = 1800  # a node that came late still has to pull the image
KEPT_SECONDS = 7 * 86400  # a Job that has ended, with its pods and their logs
SCRATCH = "/tmp"  # noqa: S108 - a volume of each pod, and the only folder that can be written
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where the processes of a pod look for it
USER = 1000  # of the trainer's image
BY_HAND = JobStatus(JobState.STOPPED, "its Job was deleted")
Name = Annotated[str, Field(pattern=NAME)]
Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i)?$", coerce_numbers_to_str=True)]


class SecretKey(Configuration):
    """A value of a Secret in the namespace of the Jobs."""

    name: str = Field(min_length=1, description="The Secret.")
    key: str = Field(min_length=1, description="Its key.")


class Toleration(Configuration):
    """Of a node's taint, as in a pod's specification."""

    key: str | None = Field(default=None, description="Of the taint; all taints unless set.")
    operator: Literal["Exists", "Equal"] = Field(default="Exists", description="`Equal` compares `value`.")
    value: str | None = Field(default=None, description="Of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="All effects unless set."
    )

    @model_validator(mode="after")
    def _compares(self) -> Self:
        if self.value is not None and self.operator == "Exists":
            raise ValueError("a value is compared with `operator: Equal` only; set that, or remove the value")
        return self


class KubernetesConfiguration(Configuration):
    """Jobs of a Kubernetes cluster (1.29 or newer)."""

    several_nodes: ClassVar[bool] = True
    kind: Literal["kubernetes"] = Field(description="Jobs of a Kubernetes cluster.")
    image: str = Field(pattern=WITH_DIGEST, description="The trainer's image, with its digest (`…@sha256:…`).")
    namespace: Name = Field(description="Where the Jobs are made: small letters, digits and hyphens.")
    context: str | None = Field(
        default=None,
        description="Of the kubeconfig file. Unless set: inside a cluster that cluster, elsewhere the current context.",
    )
    gpus: int = Field(default=1, ge=0, le=16, description="GPUs of each node; 0: none.")
    gpu_resource: str = Field(default="nvidia.com/gpu", min_length=1, description="How the cluster calls its GPUs.")
    cpu: Quantity | None = Field(default=None, description="Requested on each node, such as `8` or `7500m`.")
    memory: Quantity | None = Field(default=None, description="Requested on each node, and its limit, such as `60Gi`.")
    disk: Quantity | None = Field(default=None, description="For the base model and a checkpoint, such as `100Gi`.")
    shared_memory: Quantity = Field(
        default="8Gi", description="At most, such as `8Gi`, for the processes of a node; it is memory."
    )
    node_selector: dict[str, str] = Field(default={}, description="Labels of the nodes to run on.")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Of taints, which GPU nodes often have.")
    priority_class: str | None = Field(default=None, description="Of the pods.")
    service_account: Name | None = Field(default=None, description="Of the pods; it gives them access to the lake.")
    image_pull_secrets: tuple[Name, ...] = Field(default=(), description="For a registry that asks for a password.")
    secrets: dict[str, SecretKey] = Field(default={}, description="Environment variables with values of Secrets.")
    environment: dict[str, str] = Field(default={}, description="Of every pod; no secrets, the Job shows it.")
    labels: dict[str, str] = Field(default={}, description="Of the Job and its pods, such as the queue of Kueue.")
    annotations: dict[str, str] = Field(default={}, description="Of the pods.")
    service: Name = Field(default="training", description="Headless Service by which several nodes find each other.")
    max_hours: float = Field(
        default=24, gt=0, le=672, description="Longest time of a Job, with its wait for nodes, without that in a queue."
    )
    start_minutes: float = Field(
        default=30, gt=0, description="Longest time in which a pod gets no node; then the attempt has no capacity."
    )
    grace_seconds: int = Field(
        default=120, ge=30, description="Between SIGTERM and SIGKILL; a checkpoint is saved meanwhile."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if twice := sorted({*self.environment} & {*self.secrets}):
            raise ValueError(f"{', '.join(twice)}: both in environment and in secrets; remove one")
        return self

    def open(self, store: Store, detached: bool) -> Backend:
        """The backend. Raises BackendError where the lake is not on S3, or no cluster is configured."""
        require_s3(store, "Kubernetes")
        return KubernetesBackend(self)


class KubernetesBackend:
    """Jobs of one namespace."""

    def __init__(self, configuration: KubernetesConfiguration) -> None:
        """Raises BackendError where the client is not installed, or no cluster is configured."""
        self.configuration = configuration
        self.namespace = configuration.namespace
        self.image = configuration.image
        self._cluster = kubernetes_client.open_cluster(configuration.context)
        self.name = f"kubernetes:{self._cluster.host}:{self.namespace}"
        self._deleted: dict[str, JobStatus] = {}  # of each Job that this process has seen, for when it is gone

    def submit(self, job: BackendJob) -> None:
        self._refuse_misfits(job)
        create = self._cluster.batch.create_namespaced_job
        self._cluster.call(
            f"creating the Job {job.name} in {self.namespace}",
            create,
            namespace=self.namespace,
            body=self.request(job),
            field_validation="Strict",
            expected=(kubernetes_client.CONFLICT,),  # another run, or a call whose answer was lost, created it
            tolerated=(),
        )
        self._deleted.setdefault(job.name, BY_HAND)

    def request(self, job: BackendJob) -> dict[str, Any]:
        """The Job, as the API server gets it."""
        settings = self.configuration
        labels = settings.labels | OWN_LABELS
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job.name, "labels": labels},
            "spec": {
                "completionMode": "Indexed",
                "completions": job.nodes,
                "parallelism": job.nodes,
                "backoffLimit": 0,  # tries are counted by the launcher, which also waits between them
                "podFailurePolicy": {"rules": FAILURE_RULES},
                "activeDeadlineSeconds": max(60, round(settings.max_hours * 3600)),
                "ttlSecondsAfterFinished": KEPT_SECONDS,
                "template": {
                    "metadata": {"labels": labels, "annotations": settings.annotations},
                    "spec": self._pod(job),
                },
            },
        }

    def status(self, name: str) -> JobStatus | None:
        job = self._job(name)
        if job is None:
            deleted = self._deleted.get(name)
            # `kubectl delete` deletes a Job at once, and its pods end after it.
            return JobStatus(JobState.STOPPING, deleted.reason) if deleted and self._pods(name) else deleted
        self._deleted.setdefault(name, BY_HAND)
        pods = self._pods(name)
        refusals = self._refusals(name) if lacks_pods(job, pods) else []
        status = read_status(job, pods, refusals, self.configuration.start_minutes, time.time())
        if status.ended and not has_ended(job):  # its pods will never start, and the Job would wait for them
            self._delete(name, status)
        return status

    def stop(self, name: str, why: str) -> None:
        job = self._job(name)
        if job is not None and not has_ended(job):
            self._delete(name, JobStatus(JobState.STOPPED, why))

    def last_lines(self, name: str, count: int = 40) -> list[str]:
        pods = sorted(self._pods(name), key=lambda pod: int((pod.metadata.annotations or {}).get(INDEX, 0)))
        if not pods:
            return []
        pod = first_failed(pods) or pods[0]
        answer = self._cluster.call(
            f"reading the log of the pod {pod.metadata.name}",
            self._cluster.core.read_namespaced_pod_log,
            name=pod.metadata.name,
            namespace=self.namespace,
            container=CONTAINER,
            tail_lines=count,
            expected=kubernetes_client.NO_LOG,
            _preload_content=False,  # the client would take a log of JSON for an object
        )
        return answer.data.decode(errors="replace").splitlines() if answer else []

    def link(self, name: str) -> str | None:
        return f"kubectl --namespace {self.namespace} describe job {name}"

    def _pod(self, job: BackendJob) -> dict[str, Any]:
        """The specification of a pod, as strict as the standard `restricted` wants it."""
        settings = self.configuration
        scratch = {"sizeLimit": settings.disk} if settings.disk else {}
        pod: dict[str, Any] = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": settings.grace_seconds,
            "automountServiceAccountToken": False,  # the trainer does not call the cluster
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "nodeSelector": settings.node_selector,
            "tolerations": [toleration.model_dump(exclude_none=True) for toleration in settings.tolerations],
            "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
            "containers": [self._container(job)],
            "volumes": [
                {"name": "scratch", "emptyDir": scratch},
                {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}},
            ],
        }
        optional = {"serviceAccountName": settings.service_account, "priorityClassName": settings.priority_class}
        pod |= {name: value for name, value in optional.items() if value}
        return pod | ({"subdomain": settings.service} if job.nodes > 1 else {})

    def _container(self, job: BackendJob) -> dict[str, Any]:
        settings = self.configuration
        if job.nodes == 1:
            arguments = job.python_arguments
        else:  # the cluster gives each pod its index, and the first one this host name
            first, wait = f"{job.name}-0.{settings.service}", round(settings.start_minutes * 60) + IMAGE_SECONDS
            arguments = job.arguments_of_node("$(JOB_COMPLETION_INDEX)", first, PORT, wait)
        region = {"AWS_REGION": name} if (name := aws_region()) else {}
        environment = {"HOME": SCRATCH, **region, **settings.environment, **job.environment}
        gpus = {settings.gpu_resource: str(settings.gpus)} if settings.gpus else {}
        memory = {"memory": settings.memory} if settings.memory else {}
        cpu = {"cpu": settings.cpu} if settings.cpu else {}
        disk = {"ephemeral-storage": settings.disk} if settings.disk else {}
        return {
            "name": CONTAINER,
            "image": settings.image,
            "command": ["python"],
            "args": list(arguments),
            "env": [
                *({"name": name, "value": value.replace("$", "$$")} for name, value in environment.items()),
                *(
                    {"name": name, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}
                    for name, secret in settings.secrets.items()
                ),
            ],
            "resources": {"requests": cpu | memory | disk | gpus, "limits": memory | gpus},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
            "volumeMounts": [
                {"name": "scratch", "mountPath": SCRATCH},
                {"name": "shared-memory", "mountPath": SHARED_MEMORY},
            ],
        }

    def _refuse_misfits(self, job: BackendJob) -> None:
        """Refuse what the cluster would take and run wrongly."""
        gpus = self.configuration.gpus
        if gpus and job.processes > gpus:
            raise BackendError(
                f"{job.name} wants {job.processes} processes on each node, one per GPU, and backend.gpus is {gpus}: "
                "raise it, or lower recipe.processes"
            )

    def _job(self, name: str) -> Any:
        """The Job of that name; None where there is none."""
        read = self._cluster.batch.read_namespaced_job
        named = f"reading the Job {name} in {self.namespace}"
        return self._cluster.call(
            named, read, name=name, namespace=self.namespace, expected=(kubernetes_client.NOT_FOUND,)
        )

    def _pods(self, name: str) -> list[Any]:
        """The pods of a Job, in no order."""
        listed = self._cluster.call(
            f"listing the pods of {name}",
            self._cluster.core.list_namespaced_pod,
            namespace=self.namespace,
            label_selector=f"job-name={name}",
        )
        return list(listed.items)

    def _refusals(self, name: str) -> list[str]:
        """Why the cluster makes no more pods for a Job, newest last."""
        listed = self._cluster.call(
            f"listing the events of {name}",
            self._cluster.core.list_namespaced_event,
            namespace=self.namespace,
            field_selector=f"involvedObject.name={name},reason=FailedCreate",
        )
        return [event.message for event in listed.items if event.message]

    def _delete(self, name: str, status: JobStatus) -> None:
        """Delete a Job. It is there until its pods have ended, which get SIGTERM and their grace."""
        self._deleted[name] = status
        self._cluster.call(
            f"deleting the Job {name} in {self.namespace}",
            self._cluster.batch.delete_namespaced_job,
            name=name,
            namespace=self.namespace,
            propagation_policy="Foreground",
            expected=(kubernetes_client.NOT_FOUND,),
        )


# A Job fails with its first pod, for a reason that the Job itself then has: pods are deleted with a lost node.
FAILURE_RULES = [
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0]}},
]
