"""A run of several partitions tells Dagster of every written one, however it ends."""

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    BackfillPolicy,
    DagsterInstance,
    ExecuteInProcessResult,
    StaticPartitionsDefinition,
    asset,
    materialize,
)

from assets.framework.outcomes import SHOWN_KEYS, Outcomes, outcomes_told
from resources.chat.calls import BudgetSpent
from resources.lake.store import StoreError

KEYS = ["a", "b", "c"]


def run(
    error: BaseException | None = None, unfit: dict[str, str] | None = None, faults: dict[str, str] | None = None
) -> tuple[ExecuteInProcessResult, DagsterInstance]:
    """A run over three partitions: the first is written, then `error` comes, or the others are written too."""

    @asset(partitions_def=StaticPartitionsDefinition(KEYS), backfill_policy=BackfillPolicy.single_run())
    def partition(context: AssetExecutionContext) -> None:
        with outcomes_told(context, BudgetSpent) as outcomes:
            outcomes.described["a"] = {"rows": 1}
            if error:
                raise error
            outcomes.unfit |= unfit or {}
            outcomes.faults |= faults or {}
            outcomes.described |= {key: {"rows": 2} for key in ("b", "c") if key not in outcomes.faults}

    instance = DagsterInstance.ephemeral()
    tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "c"}
    return materialize([partition], instance=instance, tags=tags, raise_on_error=False), instance


def materialised(instance: DagsterInstance) -> dict[str | None, object]:
    """Rows by the partitions that Dagster holds for materialised."""
    records = instance.fetch_materializations(AssetKey("partition"), limit=9).records
    events = [record.asset_materialization for record in records if record.asset_materialization]
    return {event.partition: event.metadata["rows"].value for event in events}


def message(result: ExecuteInProcessResult) -> str:
    """What the failed step says."""
    data = result.failure_data_for_node("partition")
    assert data is not None and data.user_failure_data is not None
    return data.user_failure_data.description or ""


def test_a_run_that_goes_well_materialises_each_partition_with_its_metadata() -> None:
    result, instance = run()
    assert result.success
    assert materialised(instance) == {"a": 1, "b": 2, "c": 2}


def test_a_partition_that_cannot_be_made_fails_the_run_and_no_other_partition() -> None:
    result, instance = run(faults={"b": "it has no plan"})
    assert materialised(instance) == {"a": 1, "c": 2}
    assert message(result) == "b: it has no plan\n1 of 3 partitions failed; what else could be made is written"


def test_a_partition_whose_gate_failed_is_observed_and_stays_due() -> None:
    result, instance = run(unfit={"c": "too few passed"})
    assert materialised(instance) == {"a": 1, "b": 2}
    observed = instance.fetch_observations(AssetKey("partition"), limit=9).records
    assert [record.partition_key for record in observed] == ["c"]
    assert message(result).startswith("c: too few passed\n")


@pytest.mark.parametrize("stop", [BudgetSpent("100 tokens are spent"), StoreError("the disk is full")])
def test_what_ends_the_run_is_told_with_what_is_done_and_left(stop: Exception) -> None:
    result, instance = run(stop)
    assert materialised(instance) == {"a": 1}
    assert message(result) == (
        f"{stop}\n1 of 3 partitions are written; left: b, c. "
        "What was made or paid for is kept: the same command goes on from there."
    )


def test_a_fault_of_the_code_loses_nothing_that_is_written() -> None:
    result, instance = run(RuntimeError("a bug"))
    assert not result.success
    assert materialised(instance) == {"a": 1}


def test_a_reason_is_told_once_for_all_the_partitions_that_it_is_true_of() -> None:
    result, _ = run(faults={"a": "no vectors", "b": "no plan", "c": "no vectors"})
    assert message(result).splitlines()[:2] == ["a, c: no vectors", "b: no plan"]


def test_what_is_left_is_named_up_to_a_length() -> None:
    outcomes = Outcomes([f"k{number}" for number in range(SHOWN_KEYS + 3)], {"k0": {}}, faults={"k1": "no plan"})
    assert outcomes.words() == "1 of 11 partitions are written; left: k2, k3, k4, k5, k6, k7, k8, k9 and 1 more"
