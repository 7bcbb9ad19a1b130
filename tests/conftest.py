"""Fixtures that several test folders share."""

import atexit
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import boto3
import pytest
from hypothesis import settings
from moto.server import ThreadedMotoServer

from resources.model_servers.embedded.weights import CHAT_PACKAGE, SENTENCE_PACKAGE
from resources.model_servers.lease import ServerFiles, live_server

from .aws_stand_in import AwsStandIn
from .fake_endpoint import FakeEndpoint
from .kubernetes_stand_in import KubernetesStandIn
from .s3_proxy import S3Proxy

S3_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION")

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def wrongly_skipped(config: pytest.Config) -> list[str]:
    """Tests and modules that were skipped where nothing may be (.ci/run), each with its reason."""
    if os.environ.get("MASTER_TESTS_SKIP_NOTHING") != "1":
        return []
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [f"{report.nodeid}: {report.longrepr[2]}" for report in reports]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that was wrongly skipped fails the session."""
    if wrongly_skipped(session.config):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    exit_status.append(int(session.exitstatus))


exit_status: list[int] = []


@atexit.register
def let_the_summary_be_the_last_word() -> None:
    """End without taking the interpreter apart, where bindings that use nanobind print pages of what they call leaks.

    Registered before the tests are imported, so whatever else is to happen at exit has happened. Has no effect where
    the session did not come to its end.
    """
    if exit_status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_status[-1])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name those tests."""
    for skipped in wrongly_skipped(config):
        terminalreporter.write_line(f"FAILED, for nothing may be skipped here (MASTER_TESTS_SKIP_NOTHING=1): {skipped}")


SLOW_FOLDERS = ("training_jobs", "checkpoints", "infra")  # their tests start programs, or run Dagster many times
TORCH_FOLDERS = ("fine_tuning", "gradients")
LONG_FILES = (
    "test_interrupted.py",
    "test_served.py",
    "test_ui.py",
    "test_command_line.py",
    "test_backends.py",
    "test_lm_eval.py",
    "test_own_scenario.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first, so that no process ends long after the others; mark and skip by what a test needs."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)
    for item in items:
        if "s3_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.s3)
        if item.path.name in LONG_FILES or any(folder in item.path.parts for folder in SLOW_FOLDERS):
            item.add_marker(pytest.mark.slow)
        if any(folder in item.path.parts for folder in TORCH_FOLDERS):
            item.add_marker(pytest.mark.torch)
    missing = [name for name in ("xllamacpp", "gguf", "safetensors") if importlib.util.find_spec(name) is None]
    for package in (CHAT_PACKAGE, SENTENCE_PACKAGE):
        try:
            distribution(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        skip = pytest.mark.skip(reason=f"the embedded model needs {', '.join(missing)} (make setup)")
        for item in items:
            if item.get_closest_marker("embedded"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def embedded_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the embedded servers of the tests, and what they cache, apart from the user's own."""
    folder = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(folder))
        environment.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield
    for state in folder.glob("master-dagster/*.server"):
        if server := live_server(ServerFiles(state.parent, state.stem)):
            os.kill(server.pid, signal.SIGTERM)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3 server on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield address
    server.stop()


@pytest.fixture
def s3_root(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty prefix of a bucket on that server, with the environment set so that every client finds it."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://lake/{request.node.name.replace('[', '-').rstrip(']')}"


@pytest.fixture
def s3_proxy(s3_server: str, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """A proxy in front of that server, which every client uses; see `S3Proxy` for the faults that it can produce."""
    proxy = S3Proxy(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
    yield proxy
    proxy.stop()


@pytest.fixture
def kubernetes_stand_in(
    s3_server: str, s3_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[KubernetesStandIn]:
    """A Kubernetes API server on loopback, whose pods are processes that reach the S3 server alone.

    A test fails if it made a request that the official client's models do not allow.
    """
    stand_in = KubernetesStandIn({name: os.environ[name] for name in S3_VARIABLES}, grace_seconds=5)
    stand_in.write_kubeconfig(tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    yield stand_in
    stand_in.stop()
    assert stand_in.faults == []


@pytest.fixture
def aws_stand_in(s3_server: str, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsStandIn]:
    """SageMaker, AWS Batch and CloudWatch Logs on loopback, whose jobs are processes that reach the S3 server alone.

    A test fails if it made a request that AWS's own models do not allow.
    """
    stand_in = AwsStandIn({name: os.environ[name] for name in S3_VARIABLES}, grace_seconds=5)
    for name, value in stand_in.endpoints.items():
        monkeypatch.setenv(name, value)
    yield stand_in
    stand_in.stop()
    assert stand_in.faults == []


@pytest.fixture
def fake_endpoint() -> Iterator[FakeEndpoint]:
    """A scriptable OpenAI-compatible server on loopback; see `FakeEndpoint` for what it can do."""
    endpoint = FakeEndpoint()
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()
