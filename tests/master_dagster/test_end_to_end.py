"""The whole graph, materialised as by the demo, with models on loopback."""

import datasets
import polars as pl
import pytest
from dagster import DagsterInstance

from assets.boost_qa.release import RELEASES
from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from master_dagster.graph import build_definitions
from master_dagster.steps import materialise_graph
from tests.sample_project import FinishedProject, SampleProject

pytestmark = pytest.mark.end_to_end


def test_every_seed_becomes_a_dialogue_and_a_decision(finished: FinishedProject) -> None:
    lake = finished.project.deployment.lake()
    seeds, dialogues, scored = lake.read(SEEDS), lake.read(DIALOGUES), lake.read(SCORED)
    assert set(dialogues["seed_id"]) == set(seeds["seed_id"])
    assert set(scored["dialogue_id"]) == set(dialogues["dialogue_id"])
    assert scored.filter(~pl.col("accepted")).select("scenario", "rejection_reasons", "judge_reason").is_empty()


def test_the_release_loads_as_people_load_it(finished: FinishedProject) -> None:
    lake = finished.project.deployment.lake()
    release = RELEASES.latest(lake)
    loaded = datasets.load_dataset(
        "parquet", data_files={"train": f"{lake.store.uri(release.folder)}/data/train-*.parquet"}
    )
    first = loaded["train"][0]
    assert [message["from"] for message in first["conversations"]][:2] == ["human", "gpt"]


def test_a_second_run_calls_no_model_and_publishes_the_same_release(finished: FinishedProject) -> None:
    project = finished.project
    calls, release = len(project.endpoint.requests), RELEASES.latest(project.deployment.lake())
    materialise_graph(project.deployment, finished.definitions, finished.instance)
    assert len(project.endpoint.requests) == calls
    assert RELEASES.latest(project.deployment.lake()) == release


def test_more_seeds_add_a_shard_and_change_nothing_else(
    finished: FinishedProject, finished_project: SampleProject, instance: DagsterInstance
) -> None:
    """In a fresh instance, which takes its record from the lake."""
    deployment, lake = finished_project.deployment, finished_project.deployment.lake()
    before = lake.read(DIALOGUES)
    materialise_graph(deployment, build_definitions(deployment), instance)
    assert finished_project.endpoint.requests == []
    assert instance.get_dynamic_partitions("shards") == finished.instance.get_dynamic_partitions("shards")
    finished_project.write_seeds(range(15))
    materialise_graph(deployment, build_definitions(deployment), instance)
    after = lake.read(DIALOGUES)
    assert after.height == 15
    assert after.filter(pl.col("shard") == "sums-0000").equals(before)
