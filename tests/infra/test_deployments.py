"""Helm values, Kubernetes manifests and docker compose: neither engine runs here, so the files are compared."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from resources.chat.profile import load_profile
from resources.training_jobs.following import STOP_SECONDS

INFRA = Path(__file__).parents[2] / "infra"
FILES = [INFRA / "docker-compose.yaml", *sorted((INFRA / "helm").glob("*.yaml"))]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture
def values() -> Any:
    return read(INFRA / "helm" / "values.yaml")


@pytest.fixture
def compose() -> Any:
    return read(INFRA / "docker-compose.yaml")


def test_helm_and_the_instance_file_limit_runs_alike(values: Any) -> None:
    instance = read(INFRA / "dagster.aws.yaml")
    daemon, concurrency = values["dagsterDaemon"], values["concurrency"]
    assert {
        "max_concurrent_runs": concurrency["runs"]["maxConcurrentRuns"],
        "default_limit": concurrency["pools"]["defaultLimit"],
        "granularity": concurrency["pools"]["granularity"],
        "start_timeout_seconds": daemon["runMonitoring"]["startTimeoutSeconds"],
        "cancel_timeout_seconds": daemon["runMonitoring"]["cancelTimeoutSeconds"],
        "max_retries": daemon["runRetries"]["maxRetries"],
        "retry_on_asset_or_op_failure": daemon["runRetries"]["retryOnAssetOrOpFailure"],
    } == {
        "max_concurrent_runs": instance["concurrency"]["runs"]["max_concurrent_runs"],
        **instance["concurrency"]["pools"],
        "start_timeout_seconds": instance["run_monitoring"]["start_timeout_seconds"],
        "cancel_timeout_seconds": instance["run_monitoring"]["cancel_timeout_seconds"],
        "max_retries": instance["run_retries"]["max_retries"],
        "retry_on_asset_or_op_failure": instance["run_retries"]["retry_on_asset_or_op_failure"],
    }


def test_a_cancelled_run_has_time_to_stop_its_job_everywhere(values: Any, compose: Any) -> None:
    pod = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["podSpecConfig"]
    minutes = compose["services"]["code-location"]["stop_grace_period"].removesuffix("m")
    given = [
        pod["terminationGracePeriodSeconds"],
        values["dagsterDaemon"]["runMonitoring"]["cancelTimeoutSeconds"],
        read(INFRA / "dagster.aws.yaml")["run_monitoring"]["cancel_timeout_seconds"],
        read(INFRA / "dagster.compose.yaml")["run_monitoring"]["cancel_timeout_seconds"],
        int(minutes) * 60,
    ]
    assert given == [900] * 5
    assert STOP_SECONDS < 900


def test_a_dead_run_of_compose_is_found_by_its_host_and_ends_some_day(compose: Any) -> None:
    assert compose["services"]["code-location"]["hostname"]
    for name in ("dagster.aws.yaml", "dagster.compose.yaml"):
        assert read(INFRA / name)["run_monitoring"]["max_runtime_seconds"]


def test_helm_runs_one_image_everywhere(values: Any) -> None:
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert code["image"] == values["dagsterWebserver"]["image"] == values["dagsterDaemon"]["image"]


def test_the_webserver_answers_its_probes(values: Any, compose: Any) -> None:
    """Which have no name: it refuses other Host headers."""
    assert values["dagsterWebserver"]["readinessProbe"]["httpGet"]["httpHeaders"] == [
        {"name": "Host", "value": "localhost"}
    ]
    assert "http://127.0.0.1:3000/server_info" in str(compose["services"]["webserver"]["healthcheck"]["test"])


def test_helm_sends_runs_the_settings_and_keys_of_the_code_location(values: Any) -> None:
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert code["includeConfigInLaunchedRuns"]["enabled"]
    assert values["runLauncher"]["type"] == "K8sRunLauncher"


def test_the_runs_of_helm_may_launch_training_jobs(values: Any) -> None:
    manifests = list(yaml.safe_load_all((INFRA / "helm" / "training.yaml").read_text()))
    [binding] = [manifest for manifest in manifests if manifest["kind"] == "RoleBinding"]
    account = {"kind": "ServiceAccount", "name": values["global"]["serviceAccountName"], "namespace": "dagster"}
    assert binding["subjects"] == [account]


@pytest.mark.parametrize("name", ["dagster.yaml", "dagster.aws.yaml", "dagster.compose.yaml"])
def test_dagster_takes_the_instance_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text((INFRA / name).read_text())
    assert dagster_instance_config(str(tmp_path))[0] == read(INFRA / name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_images_are_pinned_by_version_and_digest(path: Path) -> None:
    images = re.findall(r"^\s*(?:- )?image: ([^\s#&*{][^\s]*)$", path.read_text(), re.MULTILINE)
    assert [
        one for one in images if not re.search(r":v?[\d.]+@sha256:[0-9a-f]{64}$|^master/code-location:local$", one)
    ] == []


def test_the_charts_own_images_are_pinned_by_version_and_digest(values: Any) -> None:
    for image in (values["busybox"]["image"], values["postgresql"]["image"]):
        assert re.fullmatch(r"[\d.]+@sha256:[0-9a-f]{64}", image["tag"])


def test_an_image_has_one_digest_everywhere(values: Any, compose: Any) -> None:
    _, deployment = yaml.safe_load_all((INFRA / "helm" / "vllm.yaml").read_text())
    images = [service["image"] for service in compose["services"].values()]
    images += [one["image"] for one in deployment["spec"]["template"]["spec"]["containers"]]
    images += [":".join(values["postgresql"]["image"].values())]
    assert {image.split(":")[0] for image in images} == {"master/code-location", "postgres", "vllm/vllm-openai"}
    assert len(set(images)) == 3


def test_the_clusters_profile_is_the_papers_at_other_addresses() -> None:
    ours, theirs = load_profile(str(INFRA / "helm" / "profile.yaml")), load_profile("paper")
    assert ours.name == theirs.name
    assert ours.roles == theirs.roles


def test_as_many_runs_share_the_clusters_servers_as_the_pool_lets_through(values: Any) -> None:
    (documented,) = re.findall(r"concurrency set models (\d+)", (INFRA.parent / "docs" / "deploy-aws.md").read_text())
    pool = max(int(documented), values["concurrency"]["pools"]["defaultLimit"])
    endpoints = load_profile(str(INFRA / "helm" / "profile.yaml")).endpoints
    assert [name for name, one in endpoints.items() if one.runs_at_once < pool] == []


def test_the_model_servers_address_is_one_of_the_profile() -> None:
    service, deployment = yaml.safe_load_all((INFRA / "helm" / "vllm.yaml").read_text())
    address = f"http://{service['metadata']['name']}.{service['metadata']['namespace']}/v1"
    assert address in {one.base_url for one in load_profile(str(INFRA / "helm" / "profile.yaml")).endpoints.values()}
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_every_file_that_compose_mounts_or_builds_from_exists(compose: Any) -> None:
    named = []
    for service in compose["services"].values():
        if build := service.get("build"):
            named.append(INFRA / build["context"] / build["dockerfile"])
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                named.append(INFRA / source)
    assert {path.resolve().relative_to(INFRA).as_posix() for path in named if not path.exists()} == {"configuration"}


def test_compose_declares_every_volume_that_it_mounts(compose: Any) -> None:
    mounted = {
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    }
    assert {name for name in mounted if not name.startswith(".")} == set(compose["volumes"])


def test_compose_gives_everything_of_dagster_what_its_instance_reads(compose: Any) -> None:
    wanted = set(re.findall(r"\{env: (\w+)\}", (INFRA / "dagster.aws.yaml").read_text()))
    for name in ("code-location", "webserver", "daemon"):
        assert wanted <= set(compose["services"][name]["environment"])


def test_compose_waits_until_what_is_needed_is_healthy(compose: Any) -> None:
    services = compose["services"]
    waits = {name: service.get("depends_on", {}) for name, service in services.items()}
    assert {condition["condition"] for needed in waits.values() for condition in needed.values()} == {"service_healthy"}
    checked_by_the_image = {"code-location"}
    assert [
        name
        for needed in waits.values()
        for name in needed
        if "healthcheck" not in services[name] and name not in checked_by_the_image
    ] == []


@pytest.mark.parametrize("name", ["postgres", "code-location", "webserver", "daemon", "vllm", "embeddings"])
def test_a_service_of_compose_has_no_privileges(name: str, compose: Any) -> None:
    service = compose["services"][name]
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert not {"privileged", "cap_add", "devices", "ipc", "pid", "network_mode"} & set(service)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_service_of_compose_is_examined(compose: Any) -> None:
    assert set(compose["services"]) == {"postgres", "code-location", "webserver", "daemon", "vllm", "embeddings"}


@pytest.mark.parametrize("name", ["postgres", "code-location", "webserver", "daemon"])
def test_a_service_of_compose_is_not_root_and_cannot_change_its_image(name: str, compose: Any) -> None:
    service = compose["services"][name]
    assert service["user"] not in ("", "0", "root")
    assert service["read_only"]
    mounted = [*service["tmpfs"], *(volume.split(":")[1] for volume in service["volumes"])]
    assert "/tmp" in mounted  # HOME of the code location's image


def pods(values: Any) -> dict[str, tuple[Any, Any]]:
    """The security contexts of each kind of pod, and of its containers."""
    (code,) = values["dagster-user-deployments"]["deployments"]
    runs = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    _, vllm = yaml.safe_load_all((INFRA / "helm" / "vllm.yaml").read_text())
    served = vllm["spec"]["template"]["spec"]
    charts = {"webserver": values["dagsterWebserver"], "daemon": values["dagsterDaemon"], "code": code}
    return {name: (one["podSecurityContext"], one["securityContext"]) for name, one in charts.items()} | {
        "runs": (runs["podSpecConfig"]["securityContext"], runs["containerConfig"]["securityContext"]),
        "vllm": (served["securityContext"], served["containers"][0]["securityContext"]),
    }


@pytest.mark.parametrize("name", ["webserver", "daemon", "code", "runs", "vllm"])
def test_a_pod_meets_the_restricted_standard(name: str, values: Any) -> None:
    pod, container = pods(values)[name]
    assert pod["runAsNonRoot"]
    assert pod["runAsUser"] == 1000
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container.get("readOnlyRootFilesystem", False) is (name != "vllm")  # vLLM compiles where it likes


def test_what_cannot_change_its_image_can_write_temporary_files(values: Any) -> None:
    (code,) = values["dagster-user-deployments"]["deployments"]
    # Runs get the volumes of the code location.
    for part in (values["dagsterWebserver"], values["dagsterDaemon"], code):
        assert {"name": "scratch", "mountPath": "/tmp"} in part["volumeMounts"]
        assert {"name": "scratch", "emptyDir": {}} in part["volumes"]


@pytest.fixture
def in_namespaces() -> list[Any]:
    return list(yaml.safe_load_all((INFRA / "helm" / "namespaces.yaml").read_text()))


def rules(documents: list[Any], namespace: str, direction: str) -> list[tuple[list[Any], set[int]]]:
    """Who may be reached, or may reach, and at which ports, by all policies of a namespace."""
    side = {"egress": "to", "ingress": "from"}[direction]
    policies = [
        one for one in documents if one["kind"] == "NetworkPolicy" and one["metadata"]["namespace"] == namespace
    ]
    return [
        (rule[side], {port["port"] for port in rule["ports"]})
        for policy in policies
        for rule in policy["spec"].get(direction, [])
    ]


@pytest.mark.parametrize("namespace", ["dagster", "models"])
def test_a_namespace_refuses_pods_with_privileges_and_traffic_that_is_not_listed(
    namespace: str, in_namespaces: list[Any]
) -> None:
    (labels,) = (
        one["metadata"]["labels"]
        for one in in_namespaces
        if one["kind"] == "Namespace" and one["metadata"]["name"] == namespace
    )
    assert labels == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in [
        one["spec"]
        for one in in_namespaces
        if one["kind"] == "NetworkPolicy" and one["metadata"]["namespace"] == namespace
    ]
    for direction in ("egress", "ingress"):
        assert all(peers and ports for peers, ports in rules(in_namespaces, namespace, direction))


def test_the_internet_is_reached_by_https_only(in_namespaces: list[Any]) -> None:
    everywhere = {"ipBlock": {"cidr": "0.0.0.0/0"}}
    for namespace in ("dagster", "models"):
        reached = [ports for peers, ports in rules(in_namespaces, namespace, "egress") if everywhere in peers]
        assert reached == [{443}]


def test_only_dagster_reaches_the_models_and_only_its_own_pods_reach_the_code(
    in_namespaces: list[Any], values: Any
) -> None:
    (code,) = values["dagster-user-deployments"]["deployments"]
    service, _ = yaml.safe_load_all((INFRA / "helm" / "vllm.yaml").read_text())
    to_models = {port["targetPort"] for port in service["spec"]["ports"]}
    dagster = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dagster"}}}]
    models = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}}}]
    assert rules(in_namespaces, "models", "ingress") == [(dagster, to_models)]
    assert (models, to_models) in rules(in_namespaces, "dagster", "egress")
    assert rules(in_namespaces, "dagster", "ingress") == [([{"podSelector": {}}], {code["port"]})]
    assert ([{"podSelector": {}}], {code["port"]}) in rules(in_namespaces, "dagster", "egress")
