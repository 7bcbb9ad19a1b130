"""What Dagster learns of a run over several partitions, however it ends."""

from typing import Any

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

from assets.framework.partition_run import Written
from assets.framework.publication import NotPublished
from assets.framework.run_report import OUTAGE_TAG, RETRY_SECONDS, report_outcomes
from resources.chat.calls import BudgetSpent, EndpointUnreachable, EndpointUnusable
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError, StoreUnreachable
from resources.training_jobs.backend import BackendUnreachable

KEYS = ["a", "b", "c"]
KEPT = "What is written or journalled is kept: give the same command again to continue"
UNATTENDED = {"dagster/schedule_name": "nightly_partitions"}
MAY_PASS = [
    StoreUnreachable("the lake is unreachable"),
    EndpointUnreachable("nobody answers"),
    BackendUnreachable("no cluster answers"),
]
ENDS_RUN = [StoreError("the disk is full"), EndpointUnusable("the key is wrong"), BudgetSpent("all is spent")]


def run(
    error: Exception | None = None,
    gate_failures: dict[str, str] | None = None,
    failures: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
) -> tuple[ExecuteInProcessResult, DagsterInstance, list[int]]:
    """A run over three partitions: the first is written, then `error` comes, or the others are written too.

    Its result, its instance, and the number of each try.
    """
    tries = []

    @asset(partitions_def=StaticPartitionsDefinition(KEYS), backfill_policy=BackfillPolicy.single_run())
    def table(context: AssetExecutionContext) -> None:
        tries.append(context.retry_number)
        ends_run = (BudgetSpent, EndpointUnusable, BackendUnreachable, ConfigurationError)
        with report_outcomes(context, *ends_run, retry_seconds=(0, 0, 0)) as outcomes:
            outcomes.failures |= failures or {}
            for key in KEYS:
                if key not in outcomes.failures:
                    outcomes.add(key, Written({"rows": 1}, (gate_failures or {}).get(key, "")))
                if error:
                    raise error

    instance = DagsterInstance.ephemeral()
    several = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "c"}
    result = materialize([table], instance=instance, tags={**several, **(tags or {})}, raise_on_error=False)
    return result, instance, tries


def message(result: ExecuteInProcessResult) -> str:
    data = result.failure_data_for_node("table")
    return (data.user_failure_data.description or "") if data and data.user_failure_data else ""


@pytest.mark.parametrize(
    ("given", "materialized", "observed", "said"),
    [
        ({}, "abc", "", ""),
        (
            {"failures": {"b": "it has no plan"}},
            "ac",
            "",
            "b: it has no plan\n1 of 3 partitions failed; what else could be made is written",
        ),
        (
            {"gate_failures": {"c": "too few passed"}},
            "ab",
            "c",
            "c: too few passed\n1 of 3 partitions failed; what else could be made is written",
        ),
        (
            {"failures": {"a": "no vectors", "b": "no plan", "c": "no vectors"}},
            "",
            "",
            "a, c: no vectors\nb: no plan\n3 of 3 partitions failed; what else could be made is written",
        ),
        *(
            ({"error": error}, "a", "", f"{error}\n1 of 3 partitions are written; left: b, c. {KEPT}")
            for error in (*ENDS_RUN, ConfigurationError("no such file"), *MAY_PASS)
        ),
        (  # nothing to continue: another asset comes first
            {"error": NotPublished("no release")},
            "a",
            "",
            "no release\n1 of 3 partitions are written; left: b, c",
        ),
        ({"error": RuntimeError("a bug")}, "a", "", ""),
    ],
    ids=lambda value: "",
)
def test_every_written_partition_is_reported_and_the_failure_says_why(
    given: dict[str, Any], materialized: str, observed: str, said: str
) -> None:
    result, instance, _ = run(**given)
    key = AssetKey("table")
    records = instance.fetch_materializations(key, limit=9).records
    assert sorted(str(record.partition_key) for record in records) == list(materialized)
    assert {record.asset_materialization.metadata["rows"].value for record in records} <= {1}  # type: ignore[union-attr]
    assert [record.partition_key for record in instance.fetch_observations(key, limit=9).records] == list(observed)
    assert (result.success, message(result)) == (not given, said)


@pytest.mark.parametrize("tags", [UNATTENDED, {}], ids=["unattended", "attended"])
@pytest.mark.parametrize(
    "error", [*MAY_PASS, *ENDS_RUN, ConfigurationError("no such file"), NotPublished("no release")], ids=repr
)
def test_only_an_unattended_run_retries_and_only_what_may_pass(error: Exception, tags: dict[str, str]) -> None:
    result, instance, tries = run(error, tags=tags)
    assert len(tries) == (4 if tags and error in MAY_PASS else 1)
    record = instance.get_run_by_id(result.run_id)
    expected = None if isinstance(error, ConfigurationError | NotPublished) else type(error).__name__
    assert record is not None and record.tags.get(OUTAGE_TAG) == expected


def test_the_pauses_before_retries_grow() -> None:
    assert list(RETRY_SECONDS) == sorted(set(RETRY_SECONDS))
