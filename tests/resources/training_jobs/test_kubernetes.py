"""Kubernetes Jobs: bad days, the requests to the API server, and what Jobs and pods mean."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from resources.lake.opening import open_store
from resources.training_jobs import kubernetes_client
from resources.training_jobs.attempts import open_attempt
from resources.training_jobs.backend import BackendError, BackendJob, BackendUnreachable, JobState, JobStatus
from resources.training_jobs.configuration import CONFIGURATIONS, load_trainer_configuration
from resources.training_jobs.kubernetes import KubernetesConfiguration
from resources.training_jobs.kubernetes_status import lacks_pods, read_status
from tests.kubernetes_stand_in import MANIFESTS, PERMISSIONS, KubernetesStandIn, permitted
from tests.resources.training_jobs.launching import Clock, Runs, World, job
from tests.stand_in_jobs import Fate, Refusal
from tests.waiting import until

SLEEP = ("-c", "import time; time.sleep(600)")


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client repeats a refused call at once, and not as often."""
    monkeypatch.setattr(kubernetes_client, "RETRIES", 1)


# -- bad days ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fate", "progress"),
    [
        (Fate(interrupt_at="step 1"), [1, 1, 2, 2]),
        (Fate(interrupt_at="step 1", host_fails=True), [1, 1, 2, 2]),
        (Fate(no_capacity=True), [2, 2, 2, 2]),
        (Fate(waits=3), [1, 1, 1, 1]),
    ],
    ids=["spot interruption", "lost node", "no capacity", "a node comes later"],
)
def test_another_attempt_resumes(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn, runs: Runs, fate: Fate, progress: list[int]
) -> None:
    kubernetes_stand_in.fates = [fate]
    waits = {"behave": [[2, "wait"]], "attempts": [1]} if fate.interrupt_at else {}
    result = runs(kubernetes.launcher(), job(steps=4, **waits))
    assert result.success, runs.failure(result)
    assert kubernetes.progress() == progress


def test_a_job_whose_longest_time_is_over_is_not_tried_again(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn, runs: Runs
) -> None:
    kubernetes_stand_in.fates = [Fate(interrupt_at="step 1", over_time=True)]
    failure = runs.failure(runs(kubernetes.launcher(), job(behave=[[2, "wait"]])))
    assert "DeadlineExceeded: Job was active longer than specified deadline; raise backend.max_hours" in failure
    assert len(kubernetes_stand_in.jobs) == 1


@pytest.mark.parametrize("lost", ["lost_answers", "lost_requests"])
def test_a_submission_that_is_lost_on_its_way_is_one_job(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn, runs: Runs, lost: str
) -> None:
    getattr(kubernetes_stand_in, lost).update({"create jobs": 1})
    assert runs(kubernetes.launcher(), job()).success
    assert len(kubernetes_stand_in.jobs) == 1


@pytest.mark.parametrize("status", [401, 503])
def test_an_api_server_that_does_not_answer_for_a_while_is_tolerated(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn, runs: Runs, status: int
) -> None:
    clock = Clock()

    def fail() -> None:
        clock.meanwhile = lambda: None
        kubernetes_stand_in.refusals["read jobs"] = [Refusal("Unavailable", "etcd has no leader", status)] * 3

    clock.meanwhile = fail
    result = runs(kubernetes.launcher(clock), job(seconds=0.1))
    assert result.success
    assert "etcd has no leader" in "\n".join(runs.lines(result))


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (Refusal("Unauthorized", "Unauthorized", 401), "does not accept these credentials: log in again"),
        (Refusal("Forbidden", "cannot create resource jobs", 403), "the Role in infra/helm/training.yaml"),
        (Refusal("Invalid", "spec.template: Invalid value", 422), "correct `backend` in the trainer's configuration"),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_refused_submission_says_what_to_do_and_the_next_run_need_not_wait(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn, runs: Runs, refusal: Refusal, advice: str
) -> None:
    kubernetes_stand_in.refusals["create jobs"] = [refusal]
    failure = runs.failure(runs(kubernetes.launcher(), job()))
    assert f"in training failed: {refusal.message}; " in failure
    assert advice in failure
    assert runs(kubernetes.launcher(), job()).success


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"namespace": "nowhere"}, 'namespaces "nowhere" not found; correct backend.namespace'),
        ({"context": "nothing"}, "no cluster is configured: Invalid kube-config file"),
        ({"context": "gone"}, "the API server at http://127.0.0.1:9 does not answer"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(kubernetes: World, changed: dict[str, str], fault: str) -> None:
    kubernetes.configuration = {**kubernetes.configuration, **changed}
    with pytest.raises(BackendError, match=fault):
        kubernetes.backend.submit(BackendJob("a-1", SLEEP))


@pytest.mark.parametrize("content", [None, "contexts: [", "text"])
def test_no_kubeconfig_is_one_error(
    kubernetes: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "none").write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(BackendError, match="no cluster is configured"):
        kubernetes.launcher()


def test_a_lake_on_this_machines_disk_is_refused(kubernetes: World, tmp_path: Any) -> None:
    kubernetes.store = open_store(str(tmp_path))
    with pytest.raises(BackendError, match="jobs on Kubernetes cannot read the lake at"):
        kubernetes.launcher()


@pytest.mark.parametrize(
    ("waiting", "denied", "fault"),
    [
        (
            {"reason": "ImagePullBackOff", "message": "not found"},
            None,
            "ImagePullBackOff, not found; check backend.image",
        ),
        (
            {"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'},
            None,
            'CreateContainerConfigError, secret "keys" not found; check backend.secrets',
        ),
        (None, "exceeded quota: gpus", "exceeded quota: gpus; the namespace accepts no such pods: check its quota"),
    ],
    ids=["no image", "no secret", "no pods"],
)
def test_a_job_whose_pods_cannot_start_fails_and_leaves_nothing(
    kubernetes: World,
    kubernetes_stand_in: KubernetesStandIn,
    runs: Runs,
    waiting: dict[str, str] | None,
    denied: str | None,
    fault: str,
) -> None:
    kubernetes_stand_in.waiting, kubernetes_stand_in.denied = waiting, denied
    assert fault in runs.failure(runs(kubernetes.launcher(), job()))
    [name] = {body["body"]["metadata"]["name"] for body in kubernetes_stand_in.made("create jobs")}
    assert getattr(kubernetes.backend.status(name), "state", None) is None


def test_a_job_that_is_deleted_by_hand_was_stopped(kubernetes: World, kubernetes_stand_in: KubernetesStandIn) -> None:
    backend = kubernetes.backend
    backend.submit(BackendJob("a-1", SLEEP))
    assert getattr(backend.status("a-1"), "state", None) is JobState.RUNNING
    kubernetes_stand_in.carry_out("delete jobs", {"namespace": "training", "name": "a-1", "query": {}})
    until(lambda: (status := backend.status("a-1")) and status.ended)
    assert kubernetes_stand_in.running() == []
    assert getattr(backend.status("a-1"), "state", None) is JobState.STOPPED


def test_a_run_goes_on_where_another_run_ended_the_attempt(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn, runs: Runs
) -> None:
    clock = Clock()

    def end() -> None:
        if kubernetes.has_begun():
            clock.meanwhile = lambda: None
            attempt = open_attempt(kubernetes.store, job(), kubernetes.backend.name, "", 0)
            query = {"propagationPolicy": "Foreground"}
            kubernetes_stand_in.carry_out(
                "delete jobs", {"namespace": "training", "name": attempt.name, "query": query}
            )
            attempt.record_end(JobStatus(JobState.INTERRUPTED, "no heartbeat"))

    clock.meanwhile = end
    result = runs(kubernetes.launcher(clock), job(behave=[[1, "wait"]], attempts=[1]))
    assert result.success, runs.failure(result)
    assert kubernetes.progress() == [1, 2, 2]


# -- requests ----------------------------------------------------------------------------------------------------------

OPTIONS: dict[str, Any] = {
    "gpus": 4,
    "cpu": "7500m",
    "memory": "60Gi",
    "disk": "100Gi",
    "node_selector": {"node.kubernetes.io/instance-type": "g6e.12xlarge"},
    "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
    "priority_class": "low",
    "service_account": "trainer",
    "image_pull_secrets": ["registry"],
    "secrets": {"HF_TOKEN": {"name": "master-keys", "key": "hf-token"}},
    "environment": {"NOTE": "$(PATH) costs 5$"},
    "annotations": {"karpenter.sh/do-not-disrupt": "true"},
}


def test_every_option_fits_the_models_of_the_client_and_secrets_go_by_reference(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn
) -> None:
    kubernetes.configuration = {**kubernetes.configuration, **OPTIONS}
    kubernetes.backend.submit(BackendJob("a-1", ("-c", "pass"), {"STEP": "7"}, processes=4, nodes=2))
    [body] = kubernetes_stand_in.made("create jobs")
    assert "hf_secret" not in json.dumps(body)
    given = kubernetes_stand_in.jobs[1].environment
    expected = {"HF_TOKEN": "hf_secret", "NOTE": "$(PATH) costs 5$", "STEP": "7", "JOB_COMPLETION_INDEX": "1"}
    assert expected.items() <= dict(given).items()
    pod = body["body"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "60Gi", "nvidia.com/gpu": "4"}
    assert pod["subdomain"] == "training"


def test_the_processes_of_two_nodes_meet_at_the_first(
    kubernetes: World, kubernetes_stand_in: KubernetesStandIn
) -> None:
    kubernetes.backend.submit(BackendJob("a-1", ("-m", "program"), nodes=2))
    [body] = kubernetes_stand_in.made("create jobs")
    specification = body["body"]["spec"]
    assert (specification["completions"], specification["parallelism"]) == (2, 2)
    arguments = specification["template"]["spec"]["containers"][0]["args"]
    assert arguments == [
        "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--node-rank=$(JOB_COMPLETION_INDEX)",
        "--master-addr=a-1-0.training", "--master-port=29500", "--rdzv-conf=timeout=3600", "-m", "program",
    ]  # fmt: skip
    assert "--node-rank=1" in kubernetes_stand_in.jobs[1].command


def test_the_role_permits_what_is_called_and_nothing_else() -> None:
    assert permitted() == set(PERMISSIONS.values())


def test_the_manifest_fits_the_jobs(kubernetes: World, kubernetes_stand_in: KubernetesStandIn) -> None:
    """Names and labels of infra/helm/training.yaml are those of the Jobs and of the example."""
    example = load_trainer_configuration(str(CONFIGURATIONS / "examples" / "kubernetes.yaml")).backend
    assert isinstance(example, KubernetesConfiguration)
    kubernetes.backend.submit(BackendJob("a-1", ("-c", "pass"), nodes=2))
    [body] = kubernetes_stand_in.made("create jobs")
    labels = body["body"]["spec"]["template"]["metadata"]["labels"]
    by_kind = {manifest["kind"]: manifest for manifest in MANIFESTS}
    policy = by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    assert by_kind["Service"]["spec"]["selector"].items() <= labels.items()
    assert policy.items() <= labels.items()
    assert by_kind["Service"]["metadata"]["name"] == example.service
    assert by_kind["ServiceAccount"]["metadata"]["name"] == example.service_account
    assert {manifest["metadata"].get("namespace", example.namespace) for manifest in MANIFESTS} == {example.namespace}
    assert policy == by_kind["NetworkPolicy"]["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]


def test_more_processes_than_gpus_are_refused(kubernetes: World) -> None:
    with pytest.raises(BackendError, match=r"wants 4 processes on each node, one per GPU, and backend\.gpus is 1"):
        kubernetes.backend.submit(BackendJob("a-1", ("-m", "program"), processes=4))


def test_a_job_has_a_status_lines_and_a_command_that_describes_it(kubernetes: World) -> None:
    backend = kubernetes.backend
    assert (backend.status("a-1"), backend.last_lines("a-1")) == (None, [])
    backend.submit(BackendJob("a-1", ("-c", "print('one'); print('two'); print('three')")))
    until(lambda: (status := backend.status("a-1")) and status.ended)
    backend.stop("a-1", "a job that has ended cannot be stopped")
    assert getattr(backend.status("a-1"), "state", None) is JobState.SUCCEEDED
    assert backend.last_lines("a-1", 2) == ["two", "three"]
    assert backend.link("a-1") == "kubectl --namespace training describe job a-1"


def test_a_pod_inside_a_cluster_finds_that_cluster(
    kubernetes_stand_in: KubernetesStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from kubernetes.config import incluster_config

    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("x")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert kubernetes_client.open_cluster(None).address == "https://10.96.0.1:443"
    assert kubernetes_client.open_cluster("here").address == kubernetes_stand_in.address


# -- what Jobs and pods mean -------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def job_object(
    *conditions: tuple[str, str, str],
    deleted: bool = False,
    terminating: int | None = None,
    nodes: int = 1,
    started_minutes: float = 60,
    succeeded: int | None = None,
) -> Any:
    """A V1Job, as far as it is looked at."""
    described = [SimpleNamespace(type=kind, status="True", reason=why, message=text) for kind, why, text in conditions]
    metadata = SimpleNamespace(deletion_timestamp=NOW if deleted else None)
    status = SimpleNamespace(
        conditions=described or None,
        terminating=terminating,
        start_time=minutes_ago(started_minutes),
        succeeded=succeeded,
    )
    return SimpleNamespace(metadata=metadata, status=status, spec=SimpleNamespace(parallelism=nodes))


def pod_object(
    phase: str = "Running",
    reason: str | None = None,
    message: str | None = None,
    waiting: str | None = None,
    exit_code: int | None = None,
    why: str = "Error",
    placed_minutes: float | None = 1,
    created_minutes: float = 60,
    end_message: str | None = None,
    disrupted: bool = False,
) -> Any:
    """A V1Pod, as far as it is looked at."""
    placed = placed_minutes is not None
    scheduled = SimpleNamespace(
        type="PodScheduled",
        status=str(placed),
        message=None if placed else "0/3 nodes are available",
        last_transition_time=minutes_ago(placed_minutes or 0),
    )
    state = SimpleNamespace(
        waiting=SimpleNamespace(reason=waiting, message=None) if waiting else None,
        terminated=None
        if exit_code is None
        else SimpleNamespace(exit_code=exit_code, reason=why, finished_at=NOW, message=end_message),
    )
    return SimpleNamespace(
        metadata=SimpleNamespace(name="a-1-0", creation_timestamp=minutes_ago(created_minutes)),
        status=SimpleNamespace(
            phase=phase,
            reason=reason,
            message=message,
            conditions=[scheduled, SimpleNamespace(type="DisruptionTarget", status=str(disrupted))],
            container_statuses=[SimpleNamespace(state=state)],
        ),
    )


POLICY = "PodFailurePolicy"
DISRUPTED = "Pod training/a-1-0 has condition DisruptionTarget matching FailJob rule at index 0"


def exited(code: int) -> str:
    return f"Container trainer for pod training/a-1-0 failed with exit code {code} matching FailJob rule at index 1"


@pytest.mark.parametrize(
    ("described", "pods", "state", "words"),
    [
        (job_object(), [], JobState.WAITING, ""),
        (job_object(("Suspended", "JobSuspended", "")), [], JobState.WAITING, "Kueue"),
        (job_object(), [pod_object("Pending", placed_minutes=None, created_minutes=5)], JobState.WAITING, "0/3 nodes"),
        (job_object(), [pod_object("Pending", placed_minutes=None)], JobState.NO_CAPACITY, "backend.start_minutes"),
        (job_object(), [pod_object("Pending", waiting="ErrImagePull")], JobState.WAITING, "ErrImagePull"),
        (
            job_object(),
            [pod_object("Pending", waiting="ErrImagePull", placed_minutes=6)],
            JobState.FAILED,
            "backend.image",
        ),
        (job_object(), [pod_object("Pending", waiting="ContainerCreating", placed_minutes=20)], JobState.WAITING, ""),
        (
            job_object(),
            [pod_object("Pending", waiting="ContainerCreating", placed_minutes=31)],
            JobState.NO_CAPACITY,
            "kubectl describe pod",
        ),
        (job_object(), [pod_object()], JobState.RUNNING, ""),
        (job_object(nodes=2, started_minutes=1), [pod_object()], JobState.WAITING, "quota"),
        (job_object(nodes=2), [pod_object()], JobState.FAILED, "quota; the namespace accepts no such pods"),
        (job_object(nodes=2, succeeded=1), [pod_object()], JobState.RUNNING, ""),
        (job_object(deleted=True), [pod_object()], JobState.STOPPING, "deleted"),
        (job_object(("FailureTarget", POLICY, DISRUPTED)), [pod_object()], JobState.STOPPING, "DisruptionTarget"),
        (job_object(("Failed", POLICY, DISRUPTED), terminating=1), [pod_object()], JobState.STOPPING, ""),
        (job_object(("Complete", "", "")), [pod_object("Succeeded", exit_code=0)], JobState.SUCCEEDED, ""),
        (job_object(("Failed", POLICY, DISRUPTED)), [], JobState.INTERRUPTED, "DisruptionTarget"),
        (
            job_object(("Failed", POLICY, exited(1))),
            [pod_object("Failed", exit_code=1), pod_object("Failed", exit_code=137, disrupted=True)],
            JobState.INTERRUPTED,
            "exit code 1",
        ),
        (
            job_object(("Failed", POLICY, exited(128))),
            [pod_object("Failed", exit_code=128, why="StartError", end_message='exec: "python": not found')],
            JobState.FAILED,
            'exec: "python": not found',
        ),
        (job_object(("Failed", POLICY, exited(75))), [], JobState.INTERRUPTED, "exit code 75"),
        (job_object(("Failed", POLICY, exited(76))), [], JobState.INTERRUPTED, "exit code 76"),
        (
            job_object(("Failed", POLICY, exited(2))),
            [pod_object("Failed", exit_code=2)],
            JobState.FAILED,
            "exit code 2",
        ),
        (
            job_object(("Failed", POLICY, exited(137))),
            [pod_object("Failed", exit_code=137, why="OOMKilled")],
            JobState.FAILED,
            "ran out of memory (OOMKilled); raise backend.memory",
        ),
        (
            job_object(("Failed", POLICY, exited(137))),
            [pod_object("Failed", reason="Evicted", message="emptyDir exceeds 10Gi", exit_code=137)],
            JobState.FAILED,
            "was evicted: emptyDir exceeds 10Gi; raise backend.disk",
        ),
        (job_object(("Failed", "DeadlineExceeded", "too long")), [], JobState.TIMED_OUT, "raise backend.max_hours"),
        (
            job_object(("Failed", "BackoffLimitExceeded", "limit")),
            [pod_object("Failed", exit_code=75)],
            JobState.INTERRUPTED,
            "exit code 75",
        ),
    ],
)
def test_what_a_job_and_its_pods_say(described: Any, pods: list[Any], state: JobState, words: str) -> None:
    refusals = ["quota"] if lacks_pods(described, pods) and described.spec.parallelism > 1 else []
    status = read_status(described, pods, refusals, start_minutes=30, now=NOW.timestamp())
    assert (status.state, words in status.reason) == (state, True), status


def test_an_api_server_that_is_gone_may_come_back(kubernetes: World) -> None:
    kubernetes.configuration = {**kubernetes.configuration, "context": "gone"}
    with pytest.raises(BackendUnreachable, match="Connection refused"):
        kubernetes.backend.status("a-1")
