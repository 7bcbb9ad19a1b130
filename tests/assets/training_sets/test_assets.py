from dagster import DagsterInstance, ExecuteInProcessResult, materialize

from assets.partitions import VARIANTS
from assets.training_sets.assets import training_sets
from assets.training_sets.checks import CHECKS
from tests.tiny_lake import TinyLake

BOTH = {"dagster/asset_partition_range_start": VARIANTS[0], "dagster/asset_partition_range_end": VARIANTS[-1]}


def run(tiny_lake: TinyLake, tags: dict[str, str]) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        return materialize(
            [training_sets, *CHECKS],
            instance=instance,
            tags=tags,
            resources={"lake": tiny_lake.lake},
            raise_on_error=False,
        )


def test_both_variants_are_made_in_one_run_and_every_check_passes(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    result = run(tiny_lake, BOTH)
    assert result.success
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}


def test_each_partition_shows_its_rows_sample_first(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    events = run(tiny_lake, BOTH).get_asset_materialization_events()
    shown = {event.partition: event.step_materialization_data.materialization.metadata for event in events}
    assert set(shown) == set(VARIANTS)
    for metadata in shown.values():
        assert next(iter(metadata)) == "sample"
        assert metadata["dagster/partition_row_count"].value == 7


def test_one_variant_can_be_made_alone(tiny_lake: TinyLake) -> None:
    tiny_lake.release()
    result = run(tiny_lake, {"dagster/partition": "ori"})
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}


def test_without_a_release_the_run_fails_and_says_what_to_make(tiny_lake: TinyLake) -> None:
    result = run(tiny_lake, BOTH)
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    assert "materialise boost_qa first" in str(event.step_failure_data.error)
