"""The assets, run by Dagster over the tiny lake."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from dagster import (
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    ExecuteInProcessResult,
    StaticPartitionsDefinition,
    materialize,
)

from assets.seeds.configuration import load_seeds_configuration
from assets.training_sets.ablations import variants
from assets.training_sets.assets import chain_of_thought_answers, gradient_features, training_sets_asset
from assets.training_sets.checks import CHECKS
from assets.training_sets.variants import TRAINING_SETS
from tests.shipped_scenarios import SCENARIOS

VARIANTS = variants(SCENARIOS)
training_sets = training_sets_asset(StaticPartitionsDefinition(VARIANTS))

SENTENCE = "I work it out with care, step by step, and so the answer is this."


def partition_range(first: str, last: str) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


BOTH = partition_range("boost_qa", "ori")


def run(
    maker: Any, instance: DagsterInstance, asset: AssetsDefinition, tags: Mapping[str, str] | None = None
) -> ExecuteInProcessResult:
    """Materialise one asset, with its checks."""
    resources = {
        "lake": maker.tiny.lake,
        "chat": maker.chat,
        "job_launcher": maker,
        "scenarios": SCENARIOS,
        "release_rules": maker.release_rules,
        "comparison_rules": maker.rules,
        "seeds_configuration": load_seeds_configuration("demo"),
    }
    checks = [check for check in CHECKS if {key.asset_key for key in check.check_keys} == {asset.key}]
    return materialize(
        [asset, *checks], instance=instance, tags=dict(tags or {}), resources=resources, raise_on_error=False
    )


def failure(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    error = event.step_failure_data.error
    return f"{error}{error.cause if error else ''}"


def metadata(result: ExecuteInProcessResult) -> dict[str, Mapping[str, Any]]:
    events = result.get_asset_materialization_events()
    return {str(event.partition): event.step_materialization_data.materialization.metadata for event in events}


@pytest.mark.parametrize(("tags", "made"), [(BOTH, {"boost_qa", "ori"}), ({"dagster/partition": "ori"}, {"ori"})])
def test_variants_are_made_in_one_run_shown_sample_first_and_pass_their_checks(
    maker: Any, instance: DagsterInstance, tags: Mapping[str, str], made: set[str]
) -> None:
    assert maker.release
    result = run(maker, instance, training_sets, tags)
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}
    shown = metadata(result)
    assert set(shown) == made
    for values in shown.values():
        assert next(iter(values)) == "sample"
        assert values["dagster/partition_row_count"].value == 7


def test_paid_inputs_are_made_by_assets_of_their_own_which_pass_their_checks(
    maker: Any, instance: DagsterInstance
) -> None:
    maker.endpoint.answer_with(lambda request: SENTENCE)
    assert maker.release
    for asset, rows in ((chain_of_thought_answers, 7), (gradient_features, 6)):
        result = run(maker, instance, asset)
        assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}
        assert metadata(result)["None"]["dagster/row_count"].value == rows
    assert metadata(run(maker, instance, chain_of_thought_answers))["None"]["made"].value == "earlier: already there"


@pytest.mark.parametrize("paid_inputs", [True, False])
def test_one_range_makes_every_variant_but_those_that_cannot_be_made(
    maker: Any, instance: DagsterInstance, paid_inputs: bool
) -> None:
    maker.endpoint.answer_with(lambda request: SENTENCE)
    assert maker.release
    if paid_inputs:
        run(maker, instance, chain_of_thought_answers)
        run(maker, instance, gradient_features)
    calls = len(maker.endpoint.chats)
    message = failure(run(maker, instance, training_sets, partition_range(VARIANTS[0], VARIANTS[-1])))
    missing = {"cot_collection"} if paid_inputs else {"cot_collection", "cot", "tagcos"}
    assert instance.get_materialized_partitions(AssetKey("training_sets")) == set(VARIANTS) - missing
    assert f"{len(missing)} of {len(VARIANTS)} partitions failed" in message
    assert "cot_collection: 'cot_collection' needs the CoT Collection's rows" in message
    assert ("materialise chain_of_thought_answers" in message) is not paid_inputs
    assert ("materialise gradient_features" in message) is not paid_inputs
    assert len(maker.endpoint.chats) == calls


def test_features_that_are_not_numbers_fail_the_variant_with_the_row(maker: Any, instance: DagsterInstance) -> None:
    assert maker.release
    maker.features = lambda rows: np.full((rows, 8), np.nan)
    run(maker, instance, gradient_features)
    result = run(maker, instance, training_sets, {"dagster/partition": "tagcos"})
    assert "the features of row 0 are not finite numbers" in failure(result)


@pytest.mark.parametrize(
    ("asset", "tags"),
    [
        (training_sets, BOTH),
        (training_sets, {"dagster/partition": "me"}),
        (chain_of_thought_answers, {}),
        (gradient_features, {}),
    ],
)
def test_without_a_release_the_run_fails_and_says_what_to_materialise(
    maker: Any, instance: DagsterInstance, asset: AssetsDefinition, tags: Mapping[str, str]
) -> None:
    assert "materialise boost_qa first" in failure(run(maker, instance, asset, tags))


def test_a_spent_budget_or_unusable_endpoint_fails_the_run_with_what_to_do(
    maker: Any, instance: DagsterInstance
) -> None:
    assert maker.release
    maker.endpoint.answer_with(lambda request: maker.endpoint.fails(401))
    assert "401" in failure(run(maker, instance, chain_of_thought_answers))


def test_a_variant_without_rows_does_not_fail_the_run_and_the_one_before_stays(
    maker: Any, instance: DagsterInstance
) -> None:
    maker.tiny.change("apples", finals=(None, "wrong", None, "right"))
    before = maker.make("dpo")
    maker.tiny.change("apples", finals=(None, "right", None, "right"))
    result = run(maker, instance, training_sets, partition_range("boost_qa", "dpo"))
    shown = metadata(result)
    assert f"release {maker.release.id} has no rows for 'dpo'" in str(shown["dpo"]["nothing to make"].value)
    assert shown["ori"]["dagster/partition_row_count"].value == 7
    assert TRAINING_SETS.latest(maker.tiny.lake, "dpo") == before


def test_a_set_of_another_form_is_shown_as_its_form_has_it(maker: Any, instance: DagsterInstance) -> None:
    maker.tiny.change("apples", finals=(None, "wrong", None, "right"))
    assert maker.release
    result = run(maker, instance, training_sets, partition_range("boost_qa", "dpo"))
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}
    sample = metadata(result)["dpo"]["sample"].value
    assert [heading in str(sample) for heading in ("**prompt**", "**chosen**", "So 7.", "**rejected**")] == [True] * 4
