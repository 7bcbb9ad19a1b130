"""The asset, in Dagster."""

from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, asset, materialize

from assets.framework.partitions import SHARDS, dialogue_partitions, partition_columns, shards
from assets.quality.assets import scored_dialogues
from assets.quality.prompts import load_prompts
from assets.quality.schema import SCORED

RIGHT = '{"reason": "Both say <b>7</b>.", "error_class": "none", "correct": true}'


def upstream() -> list[Any]:
    """Stand-ins for what is not run."""
    return [
        asset(name="scenario_dialogues", partitions_def=dialogue_partitions)(lambda: None),
        asset(name="dialogue_plans", partitions_def=shards)(lambda: None),
        asset(name="raw_seeds")(lambda: None),
    ]


@pytest.fixture
def run(project: Any) -> Any:
    """Materialises the asset for one partition or a range; gives result and instance."""

    def go(instance: DagsterInstance, **tags: str) -> Any:
        instance.add_dynamic_partitions(SHARDS, ["sums-0000"])
        scoring = project.scoring()
        return materialize(
            [*upstream(), scored_dialogues],
            selection=["scored_dialogues"],
            instance=instance,
            partition_key=None if tags else project.key,
            tags=tags or None,
            resources={
                "lake": project.lake,
                "chat": scoring.service,
                "prompts": load_prompts("standard"),
                "quality_rules": project.rules,
            },
            raise_on_error=False,
        )

    return go


def test_a_partition_shows_its_best_dialogue_first(project: Any, fake_endpoint: Any, run: Any) -> None:
    fake_endpoint.answer_with(lambda request: RIGHT)
    project.teach("good")
    with DagsterInstance.ephemeral() as instance:
        assert run(instance).success
        event = instance.get_latest_materialization_event(AssetKey("scored_dialogues"))
    metadata = event.asset_materialization.metadata
    assert next(iter(metadata)) == "best dialogue"
    assert "&lt;b&gt;7&lt;/b&gt;" in metadata["best dialogue"].value
    assert metadata["dagster/partition_row_count"].value == 1
    assert metadata["accepted"].value == 1
    assert metadata["scores"].value.startswith("![")


def test_the_error_rate_stands_beside_the_papers(project: Any, fake_endpoint: Any, run: Any) -> None:
    fake_endpoint.answer_with(lambda request: RIGHT)
    project.teach("good")
    with DagsterInstance.ephemeral() as instance:
        run(instance)
        event = instance.get_latest_materialization_event(AssetKey("scored_dialogues"))
    assert "4.1%" in event.asset_materialization.metadata["procedural errors"].value


def test_a_failed_gate_fails_the_run_and_keeps_the_rows(project: Any, fake_endpoint: Any, run: Any) -> None:
    fake_endpoint.answer_with(lambda request: "Fine!")
    project.teach("good")
    with DagsterInstance.ephemeral() as instance:
        result = run(instance)
    assert not result.success
    assert "too few verdicts in form" in result.failure_data_for_node("scored_dialogues").error.message
    assert project.lake.record(SCORED, partition_columns(project.key)).gate == "failed"


def test_a_failed_partition_leaves_the_written_ones_recorded(project: Any, fake_endpoint: Any, run: Any) -> None:
    fake_endpoint.answer_with(lambda request: RIGHT)
    project.teach("good")
    tags = {
        "dagster/asset_partition_range_start": project.key,
        "dagster/asset_partition_range_end": "debate|sums-0000",
    }
    with DagsterInstance.ephemeral() as instance:
        result = run(instance, **tags)
        done = instance.get_materialized_partitions(AssetKey("scored_dialogues"))
    assert not result.success
    assert done == {project.key}


def test_an_unusable_judge_is_told_in_plain_words(project: Any, fake_endpoint: Any, run: Any) -> None:
    fake_endpoint.answer_with(lambda request: fake_endpoint.fails(401, "bad key"))
    project.teach("good")
    with DagsterInstance.ephemeral() as instance:
        message = run(instance).failure_data_for_node("scored_dialogues").error.message
    assert "0 of 1 partitions are written" in message
