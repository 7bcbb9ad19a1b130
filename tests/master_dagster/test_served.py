"""Runs launched through the UI's GraphQL interface, the daemon and its queue."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from master_dagster.graph import build_definitions
from master_dagster.steps import run_step
from tests.fake_endpoint import FakeEndpoint, SeenRequest
from tests.sample_project import SampleProject, play
from tests.shipped_scenarios import NAMES
from tests.waiting import until

SECONDS = 180  # after which a run counts as hanging
BOTH = ["scenario_dialogues", "scored_dialogues"]
DEBATES = [f"debate|sums-{number:04d}" for number in range(3)]
JOB = {"repositoryName": "__repository__", "repositoryLocationName": "master_dagster"}
LAUNCH_BACKFILL = (
    "launchPartitionBackfill(backfillParams: $given) { __typename ... on LaunchBackfillSuccess { backfillId } }"
)

pytestmark = pytest.mark.end_to_end


def mutate(ui: str, mutation: str, kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Send a mutation with one argument, `$given` of that kind; its result."""
    query = f"mutation M($given: {kind}!) {{ result: {mutation} }}"
    body = json.dumps({"query": query, "variables": {"given": parameters}}).encode()
    request = urllib.request.Request(f"{ui}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        result: dict[str, Any] = json.load(answer)["data"]["result"]
    return result


@pytest.fixture(scope="module")
def instance(served_project: SampleProject) -> Iterator[DagsterInstance]:
    """The instance that the UI shows."""
    with DagsterInstance.from_config(str(served_project.folder / "dagster_home")) as instance:
        yield instance


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "graphql-ws",
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/runs", {}, 200),
        ("POST", "/graphql", {}, 200),
        ("GET", "/graphql", WEBSOCKET, 101),
        ("GET", "/runs", {"Host": "evil.example"}, 403),
        ("POST", "/graphql", {"Host": "evil.example"}, 403),
        ("POST", "/graphql", {"Origin": "http://evil.example"}, 403),
        ("POST", "/graphql", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", "/graphql?query=%7Bversion%7D", {}, 403),
        ("GET", "/graphql", {**WEBSOCKET, "Origin": "http://evil.example"}, 403),
        ("GET", "/graphql", {**WEBSOCKET, "Host": "evil.example"}, 403),
    ],
)
def test_requests_that_another_origin_can_cause_are_refused(
    ui: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    with closing(HTTPConnection(ui.removeprefix("http://"), timeout=60)) as connection:
        body = '{"query": "{ version }"}' if method == "POST" else None
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        assert connection.getresponse().status == status


def finished_runs(instance: DagsterInstance, **chosen: Any) -> list[DagsterRun]:
    """The runs that fit a filter, once there are some and all have finished."""

    def finished() -> list[DagsterRun] | None:
        runs = list(instance.get_runs(RunsFilter(**chosen)))
        return runs if all(run.is_finished for run in runs) else None

    runs: list[DagsterRun] = until(finished, SECONDS)
    return runs


def tables(project: SampleProject, partitions: list[str]) -> list[pl.DataFrame]:
    """Dialogues and scores of these partitions; neither is empty."""
    keys = [dict(zip(("scenario", "shard"), key.split("|"), strict=True)) for key in partitions]
    lake = project.deployment.lake()
    frames = [lake.read(table, keys) for table in (DIALOGUES, SCORED)]
    assert all(frame.height for frame in frames)
    return frames


def test_a_backfill_a_range_and_single_runs_write_the_same_tables(
    served_project: SampleProject, ui: str, instance: DagsterInstance, tmp_path: Path
) -> None:
    selection = [{"path": [name]} for name in BOTH]
    given = {"assetSelection": selection, "partitionNames": DEBATES}
    backfill = mutate(ui, LAUNCH_BACKFILL, "LaunchBackfillParams", given)
    runs = finished_runs(instance, tags={"dagster/backfill": backfill["backfillId"]})
    assert [run.status for run in runs] == [DagsterRunStatus.SUCCESS]
    backfilled = tables(served_project, DEBATES)
    for name, steps in {"range": [DEBATES], "single": [[key] for key in DEBATES]}.items():
        root = tmp_path / name
        not_copied = shutil.ignore_patterns("scenario_dialogues*", "scored_dialogues*", "_journal")
        shutil.copytree(served_project.settings.lake_root, root, ignore=not_copied)
        settings = served_project.settings.model_copy(update={"lake_root": str(root)})
        project = replace(served_project, settings=settings)
        with DagsterInstance.ephemeral() as own:
            mirror_shards(project.deployment.lake(), own)
            for keys in steps:
                run_step(build_definitions(project.deployment), own, BOTH, keys)
        assert all(one.equals(two) for one, two in zip(backfilled, tables(project, DEBATES), strict=True))


def test_a_backfill_of_the_job_makes_every_partition_of_its_range(
    served_project: SampleProject, ui: str, instance: DagsterInstance
) -> None:
    keys = [f"error_correction|sums-{number:04d}" for number in range(3)]
    partition_set = {"partitionSetName": "dialogues_and_scores_partition_set", "repositorySelector": JOB}
    backfill = mutate(ui, LAUNCH_BACKFILL, "LaunchBackfillParams", {"selector": partition_set, "partitionNames": keys})
    (run,) = finished_runs(instance, tags={"dagster/backfill": backfill["backfillId"]})
    assert run.status is DagsterRunStatus.SUCCESS
    tables(served_project, keys)
    events = instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION).records
    materialised = {(str(event.asset_key), event.partition_key) for event in events}
    assert materialised == {(str(AssetKey(asset)), key) for asset in BOTH for key in keys}


def test_a_failed_run_is_re_executed_from_its_failure(
    served_project: SampleProject, ui: str, instance: DagsterInstance
) -> None:
    def deny_the_judge(request: SeenRequest) -> Any:
        return FakeEndpoint.fails(401, "Incorrect API key") if request.model == "judge" else play(request)

    served_project.endpoint.answer_with(deny_the_judge)
    launched = mutate(
        ui,
        "launchRun(executionParams: $given) { __typename ... on LaunchRunSuccess { run { runId } } }",
        "ExecutionParams",
        {
            "selector": {**JOB, "jobName": "dialogues_and_scores"},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "analogy|sums-0001"}]},
        },
    )
    (failed,) = finished_runs(instance, run_ids=[launched["run"]["runId"]])
    served_project.endpoint.answer_with(play)
    assert failed.status is DagsterRunStatus.FAILURE
    launched = mutate(
        ui,
        "launchRunReexecution(reexecutionParams: $given) { __typename ... on LaunchRunSuccess { run { runId } } }",
        "ReexecutionParams",
        {"parentRunId": failed.run_id, "strategy": "FROM_FAILURE"},
    )
    (repeated,) = finished_runs(instance, run_ids=[launched["run"]["runId"]])
    assert repeated.status is DagsterRunStatus.SUCCESS
    assert "scenario_dialogues" not in (repeated.step_keys_to_execute or [])
    tables(served_project, ["analogy|sums-0001"])


def test_the_automation_sensor_backfills_partitions_that_were_never_made(
    served_project: SampleProject, ui: str, instance: DagsterInstance
) -> None:
    scored = AssetKey(SCORED.name)
    made = instance.get_materialized_partitions(scored)
    missing = {f"{scenario}|sums-{number:04d}" for scenario in NAMES for number in range(3)} - made
    assert missing
    selector = {**JOB, "sensorName": "backfill_missing_partitions"}
    mutate(ui, "startSensor(sensorSelector: $given) { __typename }", "SensorSelector", selector)
    until(lambda: instance.get_materialized_partitions(scored) == made | missing, SECONDS)
    backfills = [one for one in instance.get_backfills() if "dagster/from_automation_condition" in one.tags]
    runs = finished_runs(instance, tags={"dagster/backfill": backfills[0].backfill_id})
    assert {run.status for run in runs} == {DagsterRunStatus.SUCCESS}
    tables(served_project, sorted(missing))
