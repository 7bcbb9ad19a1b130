"""The asset, in Dagster."""

from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, asset, materialize

from assets.framework.partitions import SHARDS, dialogue_partitions, partition_columns, shards
from assets.quality.assets import scores_asset
from assets.quality.schema import SCORED
from tests.fake_endpoint import FakeEndpoint
from tests.shipped_scenarios import NAMES, SCENARIOS
from tests.verdicts import verdict

RIGHT = verdict(reason="Both say <b>7</b>.")


PARTITIONS = dialogue_partitions(NAMES)
ASSET = AssetKey("scored_dialogues")
WITH_A_MISSING_ONE = {
    "dagster/asset_partition_range_start": "error_correction|sums-0000",
    "dagster/asset_partition_range_end": "debate|sums-0000",
}


def upstream() -> list[Any]:
    """Stand-ins for what is not run."""
    return [
        asset(name="scenario_dialogues", partitions_def=PARTITIONS)(lambda: None),
        asset(name="dialogue_plans", partitions_def=shards)(lambda: None),
        asset(name="raw_seeds")(lambda: None),
    ]


def run(project: Any, instance: DagsterInstance, tags: dict[str, str] | None = None) -> Any:
    """Materialise the asset for the project's partition, or for the range that the tags name."""
    instance.add_dynamic_partitions(SHARDS, ["sums-0000"])
    scoring = project.scoring()
    return materialize(
        [*upstream(), scores_asset(PARTITIONS)],
        selection=["scored_dialogues"],
        instance=instance,
        tags=tags or {"dagster/partition": project.key},
        resources={
            "lake": project.lake,
            "chat": scoring.service,
            "scenarios": SCENARIOS,
            "prompts": scoring.prompts,
            "quality_rules": project.rules,
        },
        raise_on_error=False,
    )


def test_a_partition_shows_its_best_dialogue_and_the_papers_error_rate(project: Any, fake_endpoint: Any) -> None:
    fake_endpoint.answer_with(lambda request: RIGHT)
    project.add("good")
    with DagsterInstance.ephemeral() as instance:
        assert run(project, instance).success
        event = instance.get_latest_materialization_event(ASSET)
    assert event and event.asset_materialization
    metadata = event.asset_materialization.metadata
    assert next(iter(metadata)) == "best dialogue"
    assert "&lt;b&gt;7&lt;/b&gt;" in str(metadata["best dialogue"].value)
    assert (metadata["dagster/partition_row_count"].value, metadata["accepted"].value) == (1, 1)
    assert str(metadata["scores"].value).startswith("![")
    assert "4.1%" in str(metadata["procedural errors"].value)


@pytest.mark.parametrize(("findings", "warned"), [({}, False), ({"steps_sound": "no"}, True)], ids=["good", "bad"])
def test_a_run_that_rejects_nearly_everything_warns(
    project: Any,
    fake_endpoint: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    findings: dict[str, str],
    warned: bool,
) -> None:
    monkeypatch.setattr("assets.quality.score_partition.LEAST_DECIDED", 1)
    fake_endpoint.answer_with(lambda request: verdict(**findings))
    project.add("good")
    with DagsterInstance.ephemeral() as instance:
        assert run(project, instance).success
    shown = capfd.readouterr().err
    assert ("0 of 1 dialogues are accepted; rejected: wrong_step 1" in shown) == warned
    assert ("Nearly every dialogue was rejected" in shown) == warned


@pytest.mark.parametrize(
    ("answer", "tags", "message", "materialized", "gate"),
    [
        (lambda request: "Fine!", {}, "too few valid verdicts", False, "failed"),
        (lambda request: FakeEndpoint.fails(401, "bad key"), {}, "0 of 1 partitions are written", False, None),
        (lambda request: RIGHT, WITH_A_MISSING_ONE, "materialise scenario_dialogues for it first", True, "passed"),
    ],
    ids=["gate failed", "unusable judge", "one of two partitions has no dialogues"],
)
def test_a_failed_run_says_why_and_keeps_what_is_written(
    project: Any, fake_endpoint: Any, answer: Any, tags: dict[str, str], message: str, materialized: bool, gate: Any
) -> None:
    fake_endpoint.answer_with(answer)
    project.add("good")
    with DagsterInstance.ephemeral() as instance:
        result = run(project, instance, tags)
        done = instance.get_materialized_partitions(ASSET)
    record = project.lake.record(SCORED, partition_columns(project.key))
    assert not result.success
    assert message in result.failure_data_for_node("scored_dialogues").error.message
    assert done == ({project.key} if materialized else set())
    assert (record.gate if record else None) == gate
