import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from dagster import DagsterInstance

from resources.lake.opening import open_store
from tests.aws_stand_in import BATCH, SAGEMAKER, AwsStandIn
from tests.kubernetes_stand_in import KUBERNETES, KubernetesStandIn
from tests.resources.training_jobs.launching import REPOSITORY, Jobs, Runs, World


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("MASTER_TEST_JOBS", str(tmp_path / "jobs"))
    jobs = Jobs(tmp_path / "jobs")
    yield jobs
    for process in jobs.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end by itself just now
            process.kill()


@pytest.fixture
def local(jobs: Jobs, tmp_path: Path) -> World:
    """This machine, with the lake on its disk."""
    store = open_store(str(tmp_path / "lake"))
    return World(store, {"kind": "local", "folder": str(jobs.folder), "grace_seconds": 5}, jobs.processes)


@pytest.fixture
def sagemaker(aws_stand_in: AwsStandIn, s3_root: str) -> World:
    """SageMaker's stand-in, with the lake on S3."""
    return World(open_store(s3_root), SAGEMAKER, aws_stand_in.running)


@pytest.fixture
def batch(aws_stand_in: AwsStandIn, s3_root: str) -> World:
    """AWS Batch's stand-in, with the lake on S3."""
    return World(open_store(s3_root), BATCH, aws_stand_in.running)


@pytest.fixture
def kubernetes(kubernetes_stand_in: KubernetesStandIn, s3_root: str) -> World:
    """The stand-in of a cluster, with the lake on S3."""
    return World(open_store(s3_root), KUBERNETES, kubernetes_stand_in.running)


@pytest.fixture(params=["local", "sagemaker", "batch", "kubernetes"])
def world(request: pytest.FixtureRequest) -> World:
    """Each backend in turn."""
    found: World = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["sagemaker", "batch"])
def aws(request: pytest.FixtureRequest) -> World:
    """Each backend on AWS in turn."""
    found: World = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def runs() -> Iterator[Runs]:
    with DagsterInstance.ephemeral() as instance:
        yield Runs(instance)
