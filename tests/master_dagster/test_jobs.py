"""The named jobs."""

from typing import Any

import polars as pl
import yaml
from dagster import DagsterInstance, ExecuteInProcessResult

from assets.boost_qa.release import RELEASES
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import SHARDS
from assets.quality.schema import SCORED
from master_dagster.graph import build_definitions
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


def regenerate(project: SampleProject, instance: DagsterInstance, reason: str) -> ExecuteInProcessResult:
    config = {"ops": {"mark_rejected": {"config": {"reasons": [reason]}}}}
    return run(project, instance, "regenerate_rejected", run_config=config, raise_on_error=False)


def cause(result: ExecuteInProcessResult) -> str:
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    error = failure.step_failure_data.error
    assert error
    return str(error.cause or error)


def test_the_mirror_makes_an_instances_shards_those_of_the_lake(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    instance.add_dynamic_partitions(SHARDS, ["elsewhere-0000"])
    run(planned_project, instance, "mirror_lake")
    assert list(instance.get_dynamic_partitions(SHARDS)) == ["sums-0000"]


def test_the_estimate_shows_calls_tokens_money_and_hours_of_chosen_partitions_and_calls_no_model(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    every = estimate(planned_project, instance)
    assert list(every)[:3] == ["calls", "tokens", "US dollars"]
    assert every["US dollars, all in batches"] < every["US dollars, all live"] == every["US dollars"]
    assert "at most 108 items made from 12 dialogues" in every["calibration"]
    assert min(every["calls"], every["tokens"], every["US dollars"], every["hours"]) > 0
    assert estimate(planned_project, instance, "debate|*")["calls"] < every["calls"]
    assert planned_project.endpoint.requests == []


def test_current_partitions_cost_nothing(finished: FinishedProject, instance: DagsterInstance) -> None:
    assert estimate(finished.project, instance)["calls"] == 0


def test_an_unset_key_variable_is_reported_before_any_call(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    path = planned_project.folder / "profile.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["endpoints"]["fake"]["api_key_env"] = "NOBODYS_KEY"
    path.write_text(yaml.safe_dump(profile))
    run(planned_project, instance, "mirror_lake")
    result = run(planned_project, instance, "dialogues_and_scores", partition_key=PARTITION, raise_on_error=False)
    assert "takes its key from NOBODYS_KEY, which is not set" in cause(result)
    assert planned_project.endpoint.chats == []


def test_publishing_again_changes_nothing(finished: FinishedProject, instance: DagsterInstance) -> None:
    lake = finished.project.deployment.lake()
    before = RELEASES.latest(lake)
    assert run(finished.project, instance, "publish").success
    assert RELEASES.latest(lake) == before


def rows(project: SampleProject) -> pl.DataFrame:
    lake = project.deployment.lake()
    scores = lake.read(SCORED, [KEYS], ["dialogue_id", "accepted"])
    return lake.read(DIALOGUES, [KEYS]).join(scores, on="dialogue_id").sort("dialogue_id")


def test_rejected_dialogues_are_regenerated_and_no_others(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    """The strong student is wrong about two questions at first, then right about all."""
    project, wrong = planned_project, set[str]()

    def play_badly(request: Any) -> str:
        if request.model == "strong_student" and len(wrong) < 2:
            wrong.add(request.text)
            return "Let me put it down with great care and look at it again. So the answer is 123456."
        return play(request)

    project.endpoint.answer_with(play_badly)
    run(project, instance, "mirror_lake")
    run(project, instance, "dialogues_and_scores", partition_key=PARTITION)
    before = rows(project)
    assert before["accepted"].to_list().count(False) == 2
    project.endpoint.answer_with(play)
    assert regenerate(project, instance, "wrong_final_answer").success
    paid = len(project.endpoint.chats)
    run(project, instance, "dialogues_and_scores", partition_key=PARTITION)
    after = rows(project)
    assert after["generation"].to_list() == [0 if accepted else 1 for accepted in before["accepted"]]
    assert after["accepted"].all()
    assert after.filter(before["accepted"]).equals(before.filter(pl.col("accepted")))
    assert [chat.model for chat in project.endpoint.chats[paid:]].count("strong_student") == 2


def test_an_unknown_rejection_reason_is_reported_with_the_known_ones(
    finished: FinishedProject, instance: DagsterInstance
) -> None:
    result = regenerate(finished.project, instance, "too_long_winded")
    assert "unknown rejection reasons too_long_winded; there are " in cause(result)
