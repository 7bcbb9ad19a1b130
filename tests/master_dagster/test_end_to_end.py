"""The whole graph, driven as the demo drives it, against a class of models on loopback."""

import datasets
import polars as pl
import pytest
from dagster import DagsterInstance

from assets.boost_qa.release import latest_release
from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from master_dagster.definitions import build_definitions
from master_dagster.demo import drive
from tests.school import School, Taught

pytestmark = pytest.mark.end_to_end


def teach(school: School, instance: DagsterInstance) -> None:
    deployment = school.deployment
    drive(deployment, build_definitions(deployment), instance)


def test_every_seed_becomes_a_dialogue_and_a_decision(taught: Taught) -> None:
    lake = taught.school.deployment.lake()
    seeds, dialogues, scored = lake.read(SEEDS), lake.read(DIALOGUES), lake.read(SCORED)
    assert set(dialogues["seed_id"]) == set(seeds["seed_id"])
    assert set(scored["dialogue_id"]) == set(dialogues["dialogue_id"])
    assert scored.filter(~pl.col("accepted")).select("scenario", "rejection_reasons", "judge_reason").is_empty()


def test_the_release_loads_as_people_load_it(taught: Taught) -> None:
    lake = taught.school.deployment.lake()
    release = latest_release(lake)
    loaded = datasets.load_dataset(
        "parquet", data_files={"train": f"{lake.store.uri(release.folder)}/data/train-*.parquet"}
    )
    first = loaded["train"][0]
    assert [message["from"] for message in first["conversations"]][:2] == ["human", "gpt"]


def test_a_second_run_calls_no_model_and_publishes_the_same_release(taught: Taught) -> None:
    school = taught.school
    calls, release = len(school.endpoint.requests), latest_release(school.deployment.lake())
    drive(school.deployment, taught.definitions, taught.instance)
    assert len(school.endpoint.requests) == calls
    assert latest_release(school.deployment.lake()) == release


def test_a_fresh_instance_over_the_same_lake_calls_no_model(
    taught: Taught, taught_school: School, instance: DagsterInstance
) -> None:
    teach(taught_school, instance)
    assert taught_school.endpoint.requests == []
    assert instance.get_dynamic_partitions("shards") == taught.instance.get_dynamic_partitions("shards")


def test_more_seeds_later_add_a_shard_and_move_nothing(taught_school: School, instance: DagsterInstance) -> None:
    lake = taught_school.deployment.lake()
    before = lake.read(DIALOGUES)
    taught_school.write_seeds(range(15))
    teach(taught_school, instance)
    after = lake.read(DIALOGUES)
    assert after.height == 15
    assert after.filter(pl.col("shard") == "sums-0000").equals(before)
