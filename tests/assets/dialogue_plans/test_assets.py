from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, materialize

from assets.dialogue_plans.assets import dialogue_plans
from assets.dialogue_plans.configuration import PlanRules, SplitShares
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.partitions import SHARDS
from assets.seeds.configuration import SeedsConfiguration, load_seeds_configuration
from resources.lake.tables import Lake
from tests.shipped_scenarios import SCENARIOS

WriteSeeds = Callable[..., list[str]]
SOURCES: SeedsConfiguration = load_seeds_configuration("demo")
RULES = PlanRules(splits=SplitShares(train=1, validation=0, test=0))


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def plan(lake: Lake, instance: DagsterInstance) -> Callable[..., ExecuteInProcessResult]:
    """Materialise one shard or a range of shards."""

    def run(first: str, last: str | None = None, rules: PlanRules = RULES) -> ExecuteInProcessResult:
        ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        return materialize(
            [dialogue_plans],
            instance=instance,
            resources={"lake": lake, "scenarios": SCENARIOS, "plan_rules": rules, "seeds_configuration": SOURCES},
            tags=ends if last else {"dagster/partition": first},
            raise_on_error=False,
        )

    return run


def metadata(result: ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Partition to its metadata as plain values."""
    return {
        event.partition or "": {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
    }


def test_each_shard_of_a_run_is_written_and_described(
    lake: Lake, write_seeds: WriteSeeds, instance: DagsterInstance, plan: Callable[..., ExecuteInProcessResult]
) -> None:
    write_seeds("sums-0000", 8)
    write_seeds("sums-0001", 4)
    instance.add_dynamic_partitions(SHARDS, ["sums-0000", "sums-0001"])
    described = metadata(plan("sums-0000", "sums-0001"))
    assert {shard: entry["dagster/partition_row_count"] for shard, entry in described.items()} == {
        "sums-0000": 8,
        "sums-0001": 4,
    }
    assert all(entry["planned"] == "now" for entry in described.values())


def test_the_sample_is_an_analogy_with_both_questions(
    lake: Lake, write_seeds: WriteSeeds, instance: DagsterInstance, plan: Callable[..., ExecuteInProcessResult]
) -> None:
    write_seeds("sums-0000", 8)
    instance.add_dynamic_partitions(SHARDS, ["sums-0000"])
    sample = metadata(plan("sums-0000"))["sums-0000"]["sample plan"]
    assert "train, analogy" in sample
    assert sample.count("of sums-0000") == 2


def test_materialising_again_changes_no_plan_and_says_whether_the_rules_differ(
    lake: Lake, write_seeds: WriteSeeds, instance: DagsterInstance, plan: Callable[..., ExecuteInProcessResult]
) -> None:
    write_seeds("sums-0000", 8)
    instance.add_dynamic_partitions(SHARDS, ["sums-0000"])
    plan("sums-0000")
    before = lake.record(DIALOGUE_PLANS, {"shard": "sums-0000"})
    again = metadata(plan("sums-0000", rules=RULES.model_copy(update={"neighbours": 2})))["sums-0000"]
    assert again["planned"] == "earlier, unchanged"
    assert again["rules"] == "earlier ones, different from the current"
    assert lake.record(DIALOGUE_PLANS, {"shard": "sums-0000"}) == before


def test_a_source_that_cannot_be_planned_fails_with_what_to_materialise_and_the_others_are_planned(
    lake: Lake, write_seeds: WriteSeeds, instance: DagsterInstance, plan: Callable[..., ExecuteInProcessResult]
) -> None:
    write_seeds("unread-0000", 8, embedder=None)
    write_seeds("words-0000", 8)
    instance.add_dynamic_partitions(SHARDS, ["unread-0000", "words-0000"])
    (failure,) = [event for event in plan("unread-0000", "words-0000").all_events if event.is_step_failure]
    assert "materialise seed_embeddings for unread first" in str(failure.step_failure_data.error)
    assert [record.name for record in lake.records(DIALOGUE_PLANS)] == ["words-0000"]
