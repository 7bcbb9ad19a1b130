"""When a release is made, what is backfilled, and which sensors are on by default."""

from datetime import UTC, datetime

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    Definitions,
    RunRequest,
    build_sensor_context,
    evaluate_automation_conditions,
)

from assets.framework.partitions import FREE_VARIANTS, SHARDS
from assets.seeds.mirror import mirror_shards
from master_dagster.automation.releases import release_sensor
from master_dagster.automation.sensors import register_shards
from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.maintenance.record import record_lake
from tests.sample_project import FinishedProject, SampleProject

BEFORE_NIGHT, AFTER_NIGHT = (datetime(2026, 1, 5, hour, 30, tzinfo=UTC) for hour in (1, 2))


@pytest.fixture
def definitions(planned_project: SampleProject) -> Definitions:
    """The code location of a project with plans and without dialogues."""
    return build_definitions(planned_project.deployment)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("release_when_enough", DefaultSensorStatus.STOPPED),
        ("read_changed_sources", DefaultSensorStatus.STOPPED),
        ("train_due_checkpoints", DefaultSensorStatus.STOPPED),
        ("score_due_checkpoints", DefaultSensorStatus.STOPPED),
        ("backfill_missing_partitions", DefaultSensorStatus.STOPPED),
        ("report_failures", DefaultSensorStatus.RUNNING),
        ("end_dead_runs", DefaultSensorStatus.RUNNING),
        ("register_shards", DefaultSensorStatus.RUNNING),
    ],
)
def test_sensors_that_spend_money_are_off_by_default_and_the_others_are_on(
    definitions: Definitions, name: str, status: DefaultSensorStatus
) -> None:
    assert definitions.get_repository_def().get_sensor_def(name).default_status is status


def test_a_fresh_instance_is_given_the_shards_of_the_lake_and_the_tick_says_so(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    instance.add_dynamic_partitions(SHARDS, ["of_another_lake-0000"])
    resources = {"lake": planned_project.deployment.lake()}
    messages = []
    for _ in range(2):
        with build_sensor_context(instance=instance, resources=resources) as context:
            messages.append(str(register_shards.evaluate_tick(context).skip_message))
    assert instance.get_dynamic_partitions(SHARDS) == ["sums-0000"]
    assert "did not know 1 shards of the lake and has registered them: sums-0000" in messages[0]
    assert messages[1] == "the instance knows every shard of the lake"


def evaluate(project: SampleProject, instance: DagsterInstance, after: int = 1) -> RunRequest | str:
    """The run that the release sensor launches, or why it launches none."""
    ours = load_deployment(project.settings.model_copy(update={"release_after": after}))
    with build_sensor_context(instance=instance, resources={"lake": ours.lake()}) as context:
        result = release_sensor(ours).evaluate_tick(context)
    return result.run_requests[0] if result.run_requests else str(result.skip_message)


@pytest.fixture
def unreleased(finished_project: SampleProject) -> SampleProject:
    """Three partitions are current, and there is no release."""
    (finished_project.folder / "lake" / "boost_qa" / "latest.json").unlink()
    return finished_project


def test_a_release_is_launched_once_enough_partitions_are_new(
    unreleased: SampleProject, instance: DagsterInstance
) -> None:
    assert "3 partitions are new since the beginning" in str(evaluate(unreleased, instance, after=4))
    request = evaluate(unreleased, instance, after=3)
    assert isinstance(request, RunRequest)
    assert request.tags["master/due"] == "3 new partitions since the beginning, as there is no release"


def test_released_partitions_are_not_new(finished_project: SampleProject, instance: DagsterInstance) -> None:
    assert str(evaluate(finished_project, instance)).startswith("0 partitions are new since boost_qa/releases/")


@pytest.mark.parametrize(
    ("job", "tags", "message"),
    [
        ("dialogues_and_scores", {"dagster/partition": "debate|sums-0000"}, "1 partitions are in progress; a release"),
        ("publish", {}, " makes a release"),
        ("release", {}, " makes a release"),
    ],
)
def test_a_release_waits_for_partitions_in_progress_and_for_another_release(
    unreleased: SampleProject, instance: DagsterInstance, job: str, tags: dict[str, str], message: str
) -> None:
    instance.add_run(DagsterRun(job_name=job, status=DagsterRunStatus.STARTED, tags=tags))
    assert message in str(evaluate(unreleased, instance))


def test_a_release_that_failed_is_not_launched_again_for_the_same_partitions(
    unreleased: SampleProject, instance: DagsterInstance
) -> None:
    request = evaluate(unreleased, instance)
    assert isinstance(request, RunRequest)
    tags = {"dagster/run_key": str(request.run_key)}
    instance.add_run(DagsterRun(job_name="release", status=DagsterRunStatus.FAILURE, tags=tags))
    assert "was launched for the same partitions and its status is failure" in str(evaluate(unreleased, instance))


def test_the_launched_run_makes_the_release_and_the_free_training_sets(
    unreleased: SampleProject, instance: DagsterInstance
) -> None:
    request = evaluate(unreleased, instance)
    assert isinstance(request, RunRequest)
    job = build_definitions(unreleased.deployment).resolve_job_def("release")
    assert job.execute_in_process(instance=instance, tags=request.tags).success
    assert instance.get_latest_materialization_event(AssetKey("boost_qa"))
    assert instance.get_materialized_partitions(AssetKey("training_sets")) == set(FREE_VARIANTS)


def requested(definitions: Definitions, instance: DagsterInstance) -> dict[str, set[str]]:
    """The partitions that the automation conditions request when a nightly tick passes, by asset."""
    before = evaluate_automation_conditions(definitions, instance, evaluation_time=BEFORE_NIGHT)
    after = evaluate_automation_conditions(definitions, instance, evaluation_time=AFTER_NIGHT, cursor=before.cursor)
    assert before.total_requested == 0
    return {
        name: set(after.get_requested_partitions(AssetKey(name))) for name in ("scenario_dialogues", "scored_dialogues")
    }


def test_at_a_nightly_tick_planned_partitions_that_were_never_made_are_backfilled(
    definitions: Definitions, planned_project: SampleProject, instance: DagsterInstance
) -> None:
    mirror_shards(planned_project.deployment.lake(), instance)
    record_lake(planned_project.deployment.lake(), instance)
    instance.add_dynamic_partitions("shards", ["sums-0001"])  # not planned yet
    planned = {f"{scenario}|sums-0000" for scenario in ("analogy", "debate", "error_correction")}
    found = requested(definitions, instance)
    assert found["scenario_dialogues"] == planned
    assert found["scored_dialogues"] >= planned


def test_partitions_that_are_made_are_not_backfilled(finished: FinishedProject) -> None:
    found = requested(finished.definitions, finished.instance)
    assert found == {"scenario_dialogues": set(), "scored_dialogues": set()}
