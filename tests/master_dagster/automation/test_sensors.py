"""When a release is made, what is backfilled, and which sensors run from the beginning."""

from collections.abc import Iterator
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
    SensorDefinition,
    build_sensor_context,
    evaluate_automation_conditions,
)

from assets.seeds.mirror import mirror_shards
from master_dagster.automation.sensors import release_sensor
from master_dagster.definitions import build_definitions
from master_dagster.maintenance.record import record_lake
from resources.chat.service import ChatService
from tests.sample_project import FinishedProject, SampleProject

BEFORE_NIGHT, AFTER_NIGHT = (datetime(2026, 1, 5, hour, 30, tzinfo=UTC) for hour in (1, 2))


@pytest.fixture
def definitions(planned_project: SampleProject) -> Definitions:
    """The code location of a project in which nothing is finished yet."""
    return build_definitions(planned_project.deployment)


def sensor(definitions: Definitions, name: str) -> SensorDefinition:
    return definitions.get_repository_def().get_sensor_def(name)


@pytest.mark.parametrize("name", ["release_when_enough", "backfill_missing_partitions"])
def test_what_spends_money_is_off_until_somebody_switches_it_on(definitions: Definitions, name: str) -> None:
    assert sensor(definitions, name).default_status is DefaultSensorStatus.STOPPED


@pytest.mark.parametrize("name", ["tell_failures", "end_dead_runs"])
def test_what_only_tells_and_tidies_is_on(definitions: Definitions, name: str) -> None:
    assert sensor(definitions, name).default_status is DefaultSensorStatus.RUNNING


def told(project: SampleProject, instance: DagsterInstance, after: int = 1) -> RunRequest | str:
    """What the release sensor launches, or why nothing."""
    ours = project.deployment
    resources = {
        "lake": ours.lake(),
        "chat": ChatService(ours.profile, ours.lake().store),
        "prompts": ours.prompts,
        "quality_rules": ours.quality_rules,
    }
    with build_sensor_context(instance=instance, resources=resources) as context:
        (answer,) = release_sensor(after).evaluate_tick(context).run_requests or [None]
        if answer is not None:
            return answer
        return str(release_sensor(after).evaluate_tick(context).skip_message)


@pytest.fixture
def unreleased(finished_project: SampleProject) -> SampleProject:
    """Three partitions are finished and scored, and there is no release."""
    (finished_project.folder / "lake" / "boost_qa" / "latest.json").unlink()
    return finished_project


def test_a_release_is_made_of_enough_new_partitions(unreleased: SampleProject, instance: DagsterInstance) -> None:
    request = told(unreleased, instance, after=3)
    assert isinstance(request, RunRequest)
    assert request.tags["master/due"] == "3 new partitions since the beginning, for there is no release"


def test_fewer_new_partitions_wait(unreleased: SampleProject, instance: DagsterInstance) -> None:
    assert "3 partitions are new since the beginning" in str(told(unreleased, instance, after=4))


def test_what_is_released_is_not_new(finished_project: SampleProject, instance: DagsterInstance) -> None:
    assert str(told(finished_project, instance)).startswith("0 partitions are new since boost_qa/releases/")


def test_a_release_waits_for_partitions_that_are_being_made(
    unreleased: SampleProject, instance: DagsterInstance
) -> None:
    tags = {"dagster/partition": "debate|sums-0000"}
    instance.add_run(DagsterRun(job_name="teach_and_score", status=DagsterRunStatus.STARTED, tags=tags))
    assert told(unreleased, instance) == "1 partitions are being made; a release waits for them"


@pytest.mark.parametrize("job", ["publish", "release"])
def test_a_release_waits_for_another_one(unreleased: SampleProject, instance: DagsterInstance, job: str) -> None:
    instance.add_run(DagsterRun(job_name=job, status=DagsterRunStatus.STARTED))
    assert str(told(unreleased, instance)).startswith("a release is being made in run ")


def test_a_release_that_failed_is_not_launched_again_for_the_same_partitions(
    unreleased: SampleProject, instance: DagsterInstance
) -> None:
    request = told(unreleased, instance)
    assert isinstance(request, RunRequest)
    tags = {"dagster/run_key": str(request.run_key)}
    instance.add_run(DagsterRun(job_name="release", status=DagsterRunStatus.FAILURE, tags=tags))
    assert "was launched for these very partitions and is failure" in str(told(unreleased, instance))


def test_the_release_that_is_launched_makes_release_and_training_sets(
    unreleased: SampleProject, instance: DagsterInstance
) -> None:
    request = told(unreleased, instance)
    assert isinstance(request, RunRequest)
    job = build_definitions(unreleased.deployment).resolve_job_def("release")
    assert job.execute_in_process(instance=instance, tags=request.tags).success
    assert instance.get_latest_materialization_event(AssetKey("boost_qa"))
    assert instance.get_materialized_partitions(AssetKey("training_sets")) == {"boost_qa", "ori"}


def requested(definitions: Definitions, instance: DagsterInstance) -> dict[str, set[str]]:
    """What the conditions ask for when a nightly tick passes, by asset."""
    before = evaluate_automation_conditions(definitions, instance, evaluation_time=BEFORE_NIGHT)
    after = evaluate_automation_conditions(definitions, instance, evaluation_time=AFTER_NIGHT, cursor=before.cursor)
    assert before.total_requested == 0
    return {
        name: set(after.get_requested_partitions(AssetKey(name))) for name in ("scenario_dialogues", "scored_dialogues")
    }


PARTITIONS = {f"{scenario}|sums-0000" for scenario in ("analogy", "debate", "error_correction")}


@pytest.fixture
def mirrored(planned_project: SampleProject, instance: DagsterInstance) -> Iterator[DagsterInstance]:
    """An instance that knows what the planned project's lake holds."""
    mirror_shards(planned_project.deployment.lake(), instance)
    record_lake(planned_project.deployment.lake(), instance)
    yield instance


def test_at_a_nightly_tick_dialogues_and_scores_that_were_never_made_are_backfilled(
    definitions: Definitions, mirrored: DagsterInstance
) -> None:
    assert requested(definitions, mirrored) == {"scenario_dialogues": PARTITIONS, "scored_dialogues": PARTITIONS}


def test_what_is_made_is_not_backfilled(finished: FinishedProject) -> None:
    assert requested(finished.definitions, finished.instance) == {
        "scenario_dialogues": set(),
        "scored_dialogues": set(),
    }


def test_what_is_not_planned_yet_is_not_backfilled(definitions: Definitions, mirrored: DagsterInstance) -> None:
    mirrored.add_dynamic_partitions("shards", ["sums-0001"])
    assert requested(definitions, mirrored)["scenario_dialogues"] == PARTITIONS
