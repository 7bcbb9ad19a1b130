"""Runs that the UI asks for, over its GraphQL, through the daemon and its queue."""

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import Scenario
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from master_dagster.definitions import build_definitions
from master_dagster.demo import run_step
from resources.chat.profile import Role
from resources.lake.tables import Lake
from tests.fake_endpoint import FakeEndpoint, SeenRequest
from tests.sample_project import SampleProject, play
from tests.waiting import until

SECONDS = 180  # after which a run counts as hanging
BOTH = ["scenario_dialogues", "scored_dialogues"]
DEBATES = [f"debate|sums-{number:04d}" for number in range(3)]
JOB = {"repositoryName": "__repository__", "repositoryLocationName": "master_dagster.definitions"}

pytestmark = pytest.mark.end_to_end


def ask(ui: str, mutation: str, kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Send a mutation with one argument, `$given` of that kind; what it answers."""
    query = f"mutation M($given: {kind}!) {{ told: {mutation} }}"
    body = json.dumps({"query": query, "variables": {"given": parameters}}).encode()
    request = urllib.request.Request(f"{ui}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        told: dict[str, Any] = json.load(answer)["data"]["told"]
    return told


@pytest.fixture(scope="module")
def history(served_project: SampleProject) -> Iterator[DagsterInstance]:
    """The instance that the UI shows."""
    with DagsterInstance.from_config(str(served_project.folder / "dagster_home")) as instance:
        yield instance


def ended(history: DagsterInstance, runs: Callable[[], list[DagsterRun]]) -> list[DagsterRun]:
    """Those runs, once there are some and all have ended."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = runs()
        if found and all(run.is_finished for run in found):
            return found
        time.sleep(0.5)
    raise AssertionError(f"these runs have not ended: {runs()}")


def end_of(history: DagsterInstance, run_id: str) -> DagsterRun:
    return ended(history, lambda: list(history.get_runs(RunsFilter(run_ids=[run_id]))))[0]


def tables(lake: Lake, partitions: list[str]) -> list[pl.DataFrame]:
    """What the lake holds of these partitions."""
    keys = [dict(zip(("scenario", "shard"), key.split("|"), strict=True)) for key in partitions]
    return [lake.read(table, keys) for table in (DIALOGUES, SCORED)]


@pytest.fixture
def copies(served_project: SampleProject, tmp_path: Path) -> Callable[[str], tuple[SampleProject, DagsterInstance]]:
    """Makes schools with the same seeds and plans and no dialogues, each with a fresh instance."""

    def copy(name: str) -> tuple[SampleProject, DagsterInstance]:
        root = tmp_path / name
        hidden = shutil.ignore_patterns("scenario_dialogues*", "scored_dialogues*", "_journal")
        shutil.copytree(served_project.settings.lake_root, root, ignore=hidden)
        settings = served_project.settings.model_copy(update={"lake_root": str(root)})
        project = SampleProject(served_project.folder, settings, served_project.endpoint)
        home = tmp_path / f"{name}-home"
        home.mkdir()
        instance = DagsterInstance.local_temp(str(home))
        mirror_shards(project.deployment.lake(), instance)
        return project, instance

    return copy


def test_a_backfill_a_range_and_single_runs_end_in_the_same_tables(
    served_project: SampleProject,
    ui: str,
    history: DagsterInstance,
    copies: Callable[[str], tuple[SampleProject, DagsterInstance]],
) -> None:
    told = ask(
        ui,
        "launchPartitionBackfill(backfillParams: $given) { __typename ... on LaunchBackfillSuccess { backfillId } }",
        "LaunchBackfillParams",
        {"assetSelection": [{"path": [name]} for name in BOTH], "partitionNames": DEBATES},
    )
    mine = RunsFilter(tags={"dagster/backfill": told["backfillId"]})
    runs = ended(history, lambda: list(history.get_runs(mine)))
    assert [run.status for run in runs] == [DagsterRunStatus.SUCCESS]
    ranged, instance = copies("ranged")
    run_step(build_definitions(ranged.deployment), instance, BOTH, DEBATES)
    single, instance = copies("single")
    for key in DEBATES:
        run_step(build_definitions(single.deployment), instance, BOTH, [key])
    lakes = [project.deployment.lake() for project in (served_project, ranged, single)]
    backfilled, *others = (tables(lake, DEBATES) for lake in lakes)
    assert all(frame.height for frame in backfilled)
    for other in others:
        assert all(one.equals(two) for one, two in zip(backfilled, other, strict=True))


def test_a_run_is_executed_again_from_its_failure(
    served_project: SampleProject, ui: str, history: DagsterInstance
) -> None:
    def deny_the_judge(request: SeenRequest) -> Any:
        return FakeEndpoint.fails(401, "Incorrect API key") if request.model == Role.JUDGE else play(request)

    served_project.endpoint.answer_with(deny_the_judge)
    launched = ask(
        ui,
        "launchRun(executionParams: $given) { __typename ... on LaunchRunSuccess { run { runId } } }",
        "ExecutionParams",
        {
            "selector": {**JOB, "jobName": "dialogues_and_scores"},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "analogy|sums-0001"}]},
        },
    )
    failed = end_of(history, launched["run"]["runId"])
    served_project.endpoint.answer_with(play)
    assert failed.status is DagsterRunStatus.FAILURE
    again = ask(
        ui,
        "launchRunReexecution(reexecutionParams: $given) { __typename ... on LaunchRunSuccess { run { runId } } }",
        "ReexecutionParams",
        {"parentRunId": failed.run_id, "strategy": "FROM_FAILURE"},
    )
    mended = end_of(history, again["run"]["runId"])
    assert mended.status is DagsterRunStatus.SUCCESS
    assert "scenario_dialogues" not in (mended.step_keys_to_execute or [])
    assert all(frame.height for frame in tables(served_project.deployment.lake(), ["analogy|sums-0001"]))


def test_the_automation_sensor_backfills_what_was_never_made(
    served_project: SampleProject, ui: str, history: DagsterInstance
) -> None:
    scored = AssetKey(SCORED.name)
    made = history.get_materialized_partitions(scored)
    missing = {f"{scenario}|sums-{number:04d}" for scenario in Scenario for number in range(3)} - made
    assert missing
    ask(
        ui,
        "startSensor(sensorSelector: $given) { __typename }",
        "SensorSelector",
        {**JOB, "sensorName": "backfill_missing_partitions"},
    )
    until(lambda: history.get_materialized_partitions(scored) == made | missing, SECONDS)
    backfills = [one for one in history.get_backfills() if "dagster/from_automation_condition" in one.tags]
    mine = RunsFilter(tags={"dagster/backfill": backfills[0].backfill_id})
    assert {run.status for run in ended(history, lambda: list(history.get_runs(mine)))} == {DagsterRunStatus.SUCCESS}
    assert all(frame.height for frame in tables(served_project.deployment.lake(), sorted(missing)))
