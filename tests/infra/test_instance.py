"""The Dagster instance of a deployment, on a real PostgreSQL and a real S3 server."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_aws.s3 import S3ComputeLogManager
from dagster_postgres import PostgresEventLogStorage

from tests.infra.postgres_server import Postgres, find_programs, running_postgres

PROJECT = Path(__file__).parents[2]
PROCESSES, RUNS_EACH = 3, 6


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Skipped where PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with running_postgres(programs) as server:
        yield server


@pytest.fixture(scope="module")
def dagster_home(
    postgres: Postgres, s3_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of a process of the deployment; this process is one."""
    home = tmp_path_factory.mktemp("dagster_home")
    shutil.copy(PROJECT / "infra" / "dagster.aws.yaml", home / "dagster.yaml")
    given = {
        **postgres.environment,
        "DAGSTER_HOME": str(home),
        "MASTER_RUN_LOGS_BUCKET": "lake",
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in given.items():
            environment.setenv(name, value)
        yield {**os.environ}


@pytest.fixture
def instance(dagster_home: dict[str, str]) -> Iterator[DagsterInstance]:
    with DagsterInstance.get() as instance:
        yield instance


@pytest.fixture(scope="module")
def many_runs(dagster_home: dict[str, str]) -> list[tuple[int, str]]:
    """Several processes, each making several partitions, all at once: exit codes and what they said."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("launching.py")), str(first), str(RUNS_EACH)],
            env=dagster_home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in range(0, PROCESSES * RUNS_EACH, RUNS_EACH)
    ]
    said = [process.communicate()[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def test_the_file_makes_the_instance_it_says(instance: DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)


def test_runs_wait_for_their_pool_in_the_queue(instance: DagsterInstance) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert (pools.default_pool_limit, pools.pool_granularity and pools.pool_granularity.value) == (1, "run")


def test_many_runs_at_once_end_well(many_runs: list[tuple[int, str]]) -> None:
    assert [said for code, said in many_runs if code != 0] == []


def test_every_run_and_every_partition_is_recorded(many_runs: list[tuple[int, str]], instance: DagsterInstance) -> None:
    assert {run.status for run in instance.get_runs()} == {DagsterRunStatus.SUCCESS}
    keys = {f"thing-{number}" for number in range(PROCESSES * RUNS_EACH)}
    assert instance.get_materialized_partitions(AssetKey("thing")) == keys
    assert set(instance.get_dynamic_partitions("things")) == keys | {f"{key}-child" for key in keys}


def test_the_database_complained_of_nothing(many_runs: list[tuple[int, str]], postgres: Postgres) -> None:
    log = postgres.log.read_text()
    assert [line for line in log.splitlines() if any(word in line for word in ("ERROR", "deadlock", "FATAL"))] == []


def test_the_lines_of_the_runs_lie_in_the_bucket(many_runs: list[tuple[int, str]]) -> None:
    listed = boto3.client("s3").list_objects_v2(Bucket="lake", Prefix="run-logs/")
    runs = {one["Key"].split("/")[-3] for one in listed["Contents"]}
    assert len(runs) == PROCESSES * RUNS_EACH
