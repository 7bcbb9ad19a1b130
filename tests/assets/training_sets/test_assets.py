"""The asset, run by Dagster over the tiny lake."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize

from assets.framework.partitions import VARIANTS
from assets.seeds.configuration import load_seeds_configuration
from assets.training_sets.assets import training_sets
from assets.training_sets.checks import CHECKS

BOTH = {"dagster/asset_partition_range_start": "boost_qa", "dagster/asset_partition_range_end": "ori"}
ALL = {"dagster/asset_partition_range_start": VARIANTS[0], "dagster/asset_partition_range_end": VARIANTS[-1]}


class ScriptedTrainer:
    """Takes the work of gradients, and has them made up."""

    def __init__(self, compute: Any) -> None:
        self._compute = compute

    def train(self, context: Any, work: Any) -> None:
        self._compute(work)


def run(studio: Any, tags: Mapping[str, str]) -> ExecuteInProcessResult:
    resources = {
        "lake": studio.tiny.lake,
        "chat": studio.chat,
        "trainer": ScriptedTrainer(studio.compute),
        "release_rules": studio.release_rules,
        "comparison_rules": studio.rules,
        "seeds_configuration": load_seeds_configuration("demo"),
    }
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [training_sets, *CHECKS], instance=instance, tags=dict(tags), resources=resources, raise_on_error=False
        )
        studio.told = instance.get_materialized_partitions(AssetKey("training_sets"))
        return result


def failure(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    return str(event.step_failure_data.error)


def made(result: ExecuteInProcessResult) -> dict[str, Mapping[str, Any]]:
    events = result.get_asset_materialization_events()
    return {str(event.partition): event.step_materialization_data.materialization.metadata for event in events}


def test_both_variants_are_made_in_one_run_and_every_check_passes(studio: Any) -> None:
    studio.tiny.release()
    result = run(studio, BOTH)
    assert result.success
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}


def test_each_partition_shows_its_rows_sample_first(studio: Any) -> None:
    studio.tiny.release()
    shown = made(run(studio, BOTH))
    assert set(shown) == {"boost_qa", "ori"}
    for metadata in shown.values():
        assert next(iter(metadata)) == "sample"
        assert metadata["dagster/partition_row_count"].value == 7


def test_one_variant_can_be_made_alone(studio: Any) -> None:
    studio.tiny.release()
    result = run(studio, {"dagster/partition": "ori"})
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}


def test_one_range_makes_every_variant_but_those_that_cannot_be_made(studio: Any) -> None:
    studio.endpoint.answer_with(lambda request: "I work it out with care, step by step, and so the answer is this.")
    studio.tiny.release()
    result = run(studio, ALL)
    assert studio.told == set(VARIANTS) - {"cot_collection"}
    assert "1 of 13 partitions failed" in failure(result)
    assert "cot_collection: 'cot_collection' needs the CoT Collection's rows" in failure(result)


def test_gradients_that_are_no_numbers_fail_the_variant_with_the_row(studio: Any) -> None:
    studio.tiny.release()
    studio.compute.features = lambda rows: np.full((rows, 8), np.nan)
    assert "the features of row 0 are not finite numbers" in failure(run(studio, {"dagster/partition": "tagcos"}))


@pytest.mark.parametrize("tags", [BOTH, {"dagster/partition": "me"}])
def test_without_a_release_the_run_fails_and_says_what_to_make(studio: Any, tags: Mapping[str, str]) -> None:
    assert "materialise boost_qa first" in failure(run(studio, tags))
