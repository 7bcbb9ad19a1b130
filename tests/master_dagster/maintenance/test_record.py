"""Dagster's record of what is materialised, beside what the lake holds."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance

from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partitions import UNTUNED, Scenario
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from master_dagster.maintenance.record import record_lake
from resources.identity import stable_hash
from resources.lake.tables import Gate, Lake
from tests.sample_project import FinishedProject, SampleProject

KEYS = {"scenario": "debate", "shard": "sums-0000"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake.at(str(tmp_path / "lake"))


def write(lake: Lake, gate: Gate = "passed", keys: Mapping[str, str] = KEYS) -> str:
    return lake.write(DIALOGUES, keys, DIALOGUES.empty(), fingerprint=stable_hash("made"), gate=gate).fingerprint


def recorded(instance: DagsterInstance, asset: str) -> set[str]:
    return instance.get_materialized_partitions(AssetKey(asset))


def events(instance: DagsterInstance, asset: str) -> int:
    return len(instance.fetch_materializations(AssetKey(asset), limit=100).records)


def test_a_fresh_instance_learns_all_that_an_old_one_knows(
    finished: FinishedProject, instance: DagsterInstance
) -> None:
    record_lake(finished.project.deployment.lake(), instance)
    for key in finished.definitions.resolve_asset_graph().get_all_asset_keys():
        name = key.to_user_string()
        assert recorded(instance, name) == recorded(finished.instance, name)
        assert (events(instance, name) > 0) == (events(finished.instance, name) > 0)


def test_what_a_run_recorded_is_not_recorded_again(finished: FinishedProject) -> None:
    assert record_lake(finished.project.deployment.lake(), finished.instance) == {}


def test_what_was_recorded_is_not_recorded_again(lake: Lake, instance: DagsterInstance) -> None:
    write(lake)
    assert (record_lake(lake, instance), record_lake(lake, instance)) == ({"scenario_dialogues": 1}, {})


def test_a_partition_that_was_written_anew_is_recorded_anew(lake: Lake, instance: DagsterInstance) -> None:
    write(lake)
    record_lake(lake, instance)
    write(lake)
    assert record_lake(lake, instance) == {"scenario_dialogues": 1}


def test_its_fingerprint_is_told(lake: Lake, instance: DagsterInstance) -> None:
    fingerprint = write(lake)
    record_lake(lake, instance)
    (record,) = instance.fetch_materializations(AssetKey("scenario_dialogues"), limit=1).records
    assert record.asset_materialization
    assert record.asset_materialization.metadata["fingerprint"].value == fingerprint


def test_a_partition_whose_gate_failed_is_not_materialised(lake: Lake, instance: DagsterInstance) -> None:
    write(lake, gate="failed")
    assert record_lake(lake, instance) == {}


def test_a_partition_is_found_by_scenario_and_by_shard(lake: Lake, instance: DagsterInstance) -> None:
    """As the UI asks for it."""
    write(lake)
    record_lake(lake, instance)
    (record,) = instance.fetch_materializations(AssetKey("scenario_dialogues"), limit=1).records
    assert record.asset_materialization
    told = record.asset_materialization.tags
    assert {name: told[f"dagster/partition/{name}"] for name in KEYS} == KEYS


def test_many_partitions_are_each_recorded_once(lake: Lake, instance: DagsterInstance) -> None:
    for number in range(20):
        for scenario in Scenario:
            keys = {"scenario": scenario.value, "shard": f"sums-{number:04d}"}
            write(lake, keys=keys)
            lake.write(SCORED, keys, SCORED.empty(), fingerprint="0")
    record_lake(lake, instance)
    record_lake(lake, instance)
    assert (events(instance, "scenario_dialogues"), events(instance, "scored_dialogues")) == (60, 60)


def test_a_checkpoint_is_found_by_base_and_by_variant(finished: FinishedProject, instance: DagsterInstance) -> None:
    deployment = finished.project.deployment
    record_lake(deployment.lake(), instance)
    assert recorded(instance, "checkpoints") == {f"{deployment.training.bases[0].name}|{UNTUNED}"}


def test_scores_of_a_checkpoint_are_recorded(lake: Lake, instance: DagsterInstance) -> None:
    keys = {"base": "tiny", "variant": UNTUNED}
    lake.write(BENCHMARK_SCORES, keys, BENCHMARK_SCORES.empty(), fingerprint="0")
    record_lake(lake, instance)
    assert recorded(instance, "benchmark_scores") == {f"tiny|{UNTUNED}"}


@pytest.mark.parametrize("asset", ["boost_qa", "dialogue_browser"])
def test_what_was_published_is_recorded(finished: FinishedProject, instance: DagsterInstance, asset: str) -> None:
    record_lake(finished.project.deployment.lake(), instance)
    event = instance.get_latest_materialization_event(AssetKey(asset))
    assert event
    assert event.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION


def test_a_source_of_which_a_shard_is_not_embedded_yet_is_not_recorded(
    planned_project: SampleProject, instance: DagsterInstance
) -> None:
    planned_project.write_seeds(range(24))
    lake = planned_project.deployment.lake()
    lake.write(SEEDS, {"source": "sums", "shard": "sums-0001"}, SEEDS.empty(), fingerprint="0")
    assert "seed_embeddings" not in record_lake(lake, instance)
