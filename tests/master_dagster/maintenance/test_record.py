"""Dagster's record of materialisations, beside the content of the lake."""

from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partitions import UNTUNED
from assets.seeds.schema import SEEDS
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS
from master_dagster.maintenance.record import record_lake
from resources.lake.records import Gate
from resources.lake.tables import Lake
from tests.sample_project import FinishedProject, SampleProject

KEYS = {"scenario": "debate", "shard": "sums-0000"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake.at(str(tmp_path / "lake"))


def write(lake: Lake, gate: Gate = "passed") -> None:
    lake.write(DIALOGUES, KEYS, DIALOGUES.empty(), fingerprint="f1", gate=gate)


def recorded(instance: DagsterInstance, asset: str) -> set[str]:
    return instance.get_materialized_partitions(AssetKey(asset))


def test_a_fresh_instance_gets_the_record_of_the_old_one(finished: FinishedProject, instance: DagsterInstance) -> None:
    deployment = finished.project.deployment
    record_lake(deployment.lake(), instance)
    for key in finished.definitions.resolve_asset_graph().get_all_asset_keys():
        assert recorded(instance, key.to_user_string()) == recorded(finished.instance, key.to_user_string())
        events = [one.get_latest_materialization_event(key) for one in (instance, finished.instance)]
        assert (events[0] is None) == (events[1] is None)
    assert recorded(instance, "checkpoints") == {f"{deployment.training.bases[0].name}|{UNTUNED}"}
    for published in ("boost_qa", "dialogue_browser"):
        assert instance.get_latest_materialization_event(AssetKey(published))


def test_what_a_run_recorded_is_not_recorded_again(finished: FinishedProject) -> None:
    assert record_lake(finished.project.deployment.lake(), finished.instance) == {}


def test_every_version_of_a_partition_is_recorded_once(lake: Lake, instance: DagsterInstance) -> None:
    for _ in range(2):
        write(lake)
        assert record_lake(lake, instance) == {"scenario_dialogues": 1}
        assert record_lake(lake, instance) == {}


def test_a_record_has_the_fingerprint_and_the_tags_by_which_the_ui_finds_it(
    lake: Lake, instance: DagsterInstance
) -> None:
    write(lake)
    record_lake(lake, instance)
    (record,) = instance.fetch_materializations(AssetKey("scenario_dialogues"), limit=1).records
    found = record.asset_materialization
    assert found
    assert found.metadata["fingerprint"].value == "f1"
    assert {name: found.tags[f"dagster/partition/{name}"] for name in KEYS} == KEYS


def test_a_partition_whose_gate_failed_is_not_recorded(lake: Lake, instance: DagsterInstance) -> None:
    write(lake, gate="failed")
    assert record_lake(lake, instance) == {}


def test_scores_of_a_checkpoint_are_recorded(lake: Lake, instance: DagsterInstance) -> None:
    keys = {"base": "tiny", "variant": UNTUNED}
    lake.write(BENCHMARK_SCORES, keys, BENCHMARK_SCORES.empty(), fingerprint="0")
    record_lake(lake, instance)
    assert recorded(instance, "benchmark_scores") == {f"tiny|{UNTUNED}"}


def test_the_answers_to_the_newest_release_are_recorded_once(lake: Lake, instance: DagsterInstance) -> None:
    for release in ("b", "a"):
        lake.write(
            CHAIN_OF_THOUGHT_ANSWERS, {"release": release}, CHAIN_OF_THOUGHT_ANSWERS.empty(), fingerprint=release
        )
    assert record_lake(lake, instance) == {"chain_of_thought_answers": 1}
    event = instance.get_latest_materialization_event(AssetKey("chain_of_thought_answers"))
    assert event
    assert event.asset_materialization
    assert event.asset_materialization.metadata["fingerprint"].value == "a"


def test_a_source_with_a_shard_that_is_not_embedded_is_not_recorded(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    lake = planned_project.deployment.lake()
    lake.write(SEEDS, {"source": "sums", "shard": "sums-0001"}, SEEDS.empty(), fingerprint="0")
    assert "seed_embeddings" not in record_lake(lake, instance)
