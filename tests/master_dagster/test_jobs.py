"""The jobs that have names."""

from typing import Any

import polars as pl
import pytest
import yaml
from dagster import DagsterInstance, ExecuteInProcessResult

from assets.boost_qa.release import RELEASES
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import SHARDS
from assets.quality.schema import SCORED
from master_dagster.definitions import build_definitions
from tests.sample_project import FinishedProject, SampleProject, play

PARTITION = "error_correction|sums-0000"
KEYS = {"scenario": "error_correction", "shard": "sums-0000"}


def run(project: SampleProject, instance: DagsterInstance, job: str, **options: Any) -> ExecuteInProcessResult:
    definitions = build_definitions(project.deployment)
    return definitions.resolve_job_def(job).execute_in_process(instance=instance, **options)


def estimate(project: SampleProject, instance: DagsterInstance, *partitions: str) -> dict[str, Any]:
    config = {"ops": {"estimate_partitions": {"config": {"partitions": list(partitions)}}}}
    result = run(project, instance, "estimate_cost", run_config=config)
    (output,) = result.filter_events(lambda event: event.is_successful_output)
    return {name: value.value for name, value in output.step_output_data.metadata.items()}


def mark(project: SampleProject, instance: DagsterInstance, reason: str) -> ExecuteInProcessResult:
    config = {"ops": {"mark_rejected": {"config": {"reasons": [reason]}}}}
    return run(project, instance, "regenerate_rejected", run_config=config, raise_on_error=False)


def test_the_mirror_gives_a_fresh_instance_the_lakes_shards(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    run(planned_project, instance, "mirror_lake")
    assert list(instance.get_dynamic_partitions(SHARDS)) == ["sums-0000"]


def test_the_mirror_takes_away_shards_that_the_lake_does_not_hold(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    instance.add_dynamic_partitions(SHARDS, ["elsewhere-0000"])
    run(planned_project, instance, "mirror_lake")
    assert list(instance.get_dynamic_partitions(SHARDS)) == ["sums-0000"]


def test_the_estimate_tells_calls_tokens_money_and_hours(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    told = estimate(planned_project, instance)
    assert list(told) == ["calls", "tokens", "US dollars", "hours", "roles"]
    assert min(told["calls"], told["tokens"], told["US dollars"], told["hours"]) > 0


def test_the_estimate_calls_no_model(planned_project: SampleProject, instance: DagsterInstance) -> None:
    estimate(planned_project, instance)
    assert planned_project.endpoint.requests == []


def test_some_partitions_take_less_than_all(planned_project: SampleProject, instance: DagsterInstance) -> None:
    assert estimate(planned_project, instance, "debate|*")["calls"] < estimate(planned_project, instance)["calls"]


def test_what_is_there_already_takes_nothing(finished: FinishedProject) -> None:
    assert estimate(finished.project, finished.instance)["calls"] == 0


def test_a_partition_is_taught_and_scored(planned_project: SampleProject, instance: DagsterInstance) -> None:
    run(planned_project, instance, "mirror_lake")
    run(planned_project, instance, "dialogues_and_scores", partition_key=PARTITION)
    lake = planned_project.deployment.lake()
    assert [record.name for table in (DIALOGUES, SCORED) for record in lake.records(table)] == [PARTITION, PARTITION]


def test_an_unset_key_variable_is_told_before_any_call(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    path = planned_project.folder / "profile.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["endpoints"]["fake"]["api_key_env"] = "NOBODYS_KEY"
    path.write_text(yaml.safe_dump(profile))
    run(planned_project, instance, "mirror_lake")
    result = run(planned_project, instance, "dialogues_and_scores", partition_key=PARTITION, raise_on_error=False)
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    error = failure.step_failure_data.error
    assert error
    assert "takes its key from NOBODYS_KEY, which is not set" in str(error.cause or error)
    assert planned_project.endpoint.chats == []


def test_publishing_what_is_published_changes_nothing(finished: FinishedProject) -> None:
    lake = finished.project.deployment.lake()
    before = RELEASES.latest(lake)
    assert run(finished.project, finished.instance, "publish").success
    assert RELEASES.latest(lake) == before


@pytest.fixture
def half_wrong(planned_project: SampleProject, instance: DagsterInstance) -> SampleProject:
    """One partition whose strong student was wrong about some questions; from then on it is right about all."""
    said: set[str] = set()

    def play_badly(request: Any) -> str:
        if request.model == "strong_student" and len(said) < 2:
            said.add(request.text)
            return "Let me put it down with great care and look at it again. So the answer is 123456."
        return play(request)

    planned_project.endpoint.answer_with(play_badly)
    run(planned_project, instance, "mirror_lake")
    run(planned_project, instance, "dialogues_and_scores", partition_key=PARTITION)
    planned_project.endpoint.answer_with(play)
    return planned_project


def rows(project: SampleProject) -> pl.DataFrame:
    lake = project.deployment.lake()
    scores = lake.read(SCORED, [KEYS], ["dialogue_id", "accepted"])
    return lake.read(DIALOGUES, [KEYS]).join(scores, on="dialogue_id").sort("dialogue_id")


def test_rejected_dialogues_are_made_anew_and_no_others(half_wrong: SampleProject, instance: DagsterInstance) -> None:
    before = rows(half_wrong)
    assert before["accepted"].to_list().count(False) == 2
    assert mark(half_wrong, instance, "wrong_final_answer").success
    run(half_wrong, instance, "dialogues_and_scores", partition_key=PARTITION)
    after = rows(half_wrong)
    assert after["generation"].to_list() == [0 if accepted else 1 for accepted in before["accepted"]]
    assert after["accepted"].all()
    assert after.filter(before["accepted"]).equals(before.filter(pl.col("accepted")))


def test_making_two_dialogues_anew_pays_for_two(half_wrong: SampleProject, instance: DagsterInstance) -> None:
    mark(half_wrong, instance, "wrong_final_answer")
    paid = len(half_wrong.endpoint.chats)
    run(half_wrong, instance, "dialogues_and_scores", partition_key=PARTITION)
    students = [chat for chat in half_wrong.endpoint.chats[paid:] if chat.model == "strong_student"]
    assert len(students) == 2


def test_an_unknown_reason_is_told_with_those_there_are(finished: FinishedProject) -> None:
    result = mark(finished.project, finished.instance, "too_long_winded")
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    error = failure.step_failure_data.error
    assert error
    assert "unknown rejection reasons too_long_winded; there are " in str(error.cause or error)
