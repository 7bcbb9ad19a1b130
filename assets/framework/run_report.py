"""What a run reports to Dagster: every partition that is written, however the run ends, and why it failed.

An outage that may pass is retried where nobody waits for the run; where somebody does, the run fails at once.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    Failure,
    PathMetadataValue,
    RetryRequested,
)

from assets.framework.partition_run import Outcomes, shown_keys
from assets.framework.partitions import selected_keys
from assets.framework.publication import NotPublished
from assets.framework.ui_metadata import ROW_COUNT
from resources.chat.calls import BudgetSpent, EndpointUnreachable, EndpointUnusable
from resources.lake.store import StoreError, StoreUnreachable
from resources.outside_text import without_links
from resources.training_jobs.backend import BackendUnreachable

RETRY_SECONDS = (60, 300, 900)  # before the second, third and fourth try
OUTAGE_TAG = "master/outage"
OUTAGES = (BudgetSpent, EndpointUnusable, StoreError, BackendUnreachable)
WAITING_TAG, WAITS_FOR_BATCHES = "master/waiting", "batches"  # of runs with partitions that wait
WAITS = "waits"
UNATTENDED_TAGS = ("dagster/schedule_name", "dagster/sensor_name", "dagster/backfill")


@contextmanager
def report_outcomes(
    context: AssetExecutionContext, *ends_run: type[Exception], retry_seconds: tuple[float, ...] = RETRY_SECONDS
) -> Iterator[Outcomes]:
    """Report the partitions of a run to Dagster: each one that is written, also where others fail or the run is ended.

    Where partitions wait (`Outcomes.waiting`), the asset must yield no output: Dagster would take every partition of
    the run as materialised, and make those of the assets that follow.

    Args:
        context: of the asset's run.
        ends_run: errors, beside those of the store, that end the run whichever partition meets them.
        retry_seconds: see `retry_outage`.

    Yields:
        The outcomes, to be filled in.

    Raises:
        RetryRequested: see `retry_outage`.
        Failure: names the partitions that failed; or what ended the run, and what is left.
    """
    outcomes = Outcomes(selected_keys(context))
    stops: tuple[type[Exception], ...] = (StoreError, *ends_run)
    try:
        yield outcomes
        if failed := outcomes.failures | outcomes.gate_failures:
            count = f"{len(failed)} of {len(outcomes.keys)} partitions failed; what else could be made is written"
            raise Failure(f"{_by_reason(failed)}\n{count}", allow_retries=False)
    except stops as error:
        _report_written(context, outcomes)
        retry_outage(context, error, retry_seconds)
        resumed = (
            ""
            if isinstance(error, NotPublished)
            else ". What is written or journalled is kept: give the same command again to continue"
        )
        raise Failure(f"{error}\n{outcomes.summary()}{resumed}", allow_retries=False) from None
    except BaseException as error:
        _report_written(context, outcomes)
        if not isinstance(error, Failure):
            context.log.warning(outcomes.summary())
        raise
    if outcomes.waiting:
        _report_written(context, outcomes)
        context.log.info(without_links(f"{outcomes.summary()}\n{_by_reason(outcomes.waiting)}"))
        return
    for key, metadata in outcomes.written.items():
        context.add_asset_metadata(metadata, partition_key=key)
    rows = sum(metadata.get(ROW_COUNT, 0) for metadata in outcomes.written.values())
    context.log.info(f"{outcomes.summary()}; they have {rows:,} rows")
    if paths := _paths(outcomes):
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        context.log.info(f"In {paths[0]}{more}")


@contextmanager
def report_store_errors(context: AssetExecutionContext) -> Iterator[None]:
    """Fail a step with the message of the lake's error instead of a stack trace.

    Raises:
        RetryRequested: see `retry_outage`.
        Failure: the lake cannot be used, and the step is not retried.
    """
    try:
        yield
    except StoreError as error:
        retry_outage(context, error)
        raise Failure(str(error), allow_retries=False) from None


def retry_outage(
    context: AssetExecutionContext, error: Exception, retry_seconds: tuple[float, ...] = RETRY_SECONDS
) -> None:
    """Have Dagster retry the step after a pause, where that can help and the run is unattended.

    Returns where it is not retried. If something that all partitions need cannot be used or is used up, the run is then
    tagged with `OUTAGE_TAG`: its failure says nothing about its partitions.

    Args:
        context: of the asset's run. A run of a schedule, sensor or backfill is unattended.
        error: what ended the run.
        retry_seconds: the pause before each retry; there are as many retries.

    Raises:
        RetryRequested: Dagster is to run the step again.
    """
    unattended = any(tag in context.run.tags for tag in UNATTENDED_TAGS)
    may_pass = isinstance(error, StoreUnreachable | EndpointUnreachable | BackendUnreachable)
    if may_pass and unattended and context.retry_number < len(retry_seconds):
        seconds = retry_seconds[context.retry_number]
        context.log.warning(without_links(f"{error}\nTrying again in {seconds} s."))
        raise RetryRequested(max_retries=len(retry_seconds), seconds_to_wait=seconds) from error
    if isinstance(error, OUTAGES) and not isinstance(error, NotPublished):
        context.instance.add_run_tags(context.run.run_id, {OUTAGE_TAG: type(error).__name__})


def _paths(outcomes: Outcomes) -> list[str]:
    """The first full path of each written partition."""
    found = []
    for metadata in outcomes.written.values():
        found += [value.path or "" for value in metadata.values() if isinstance(value, PathMetadataValue)][:1]
    return found


def _by_reason(failed: Mapping[str, str]) -> str:
    """One line per reason with its partitions: often all shards of a source fail for one reason."""
    keys: dict[str, list[str]] = {}
    for key, reason in sorted(failed.items()):
        keys.setdefault(reason, []).append(key)
    return "\n".join(f"{shown_keys(those)}: {reason}" for reason, those in keys.items())


def _report_written(context: AssetExecutionContext, outcomes: Outcomes) -> None:
    """Log an event for each written partition: Dagster records no metadata of a run that fails.

    Partitions whose gate failed, and those that wait, are observed, not materialised.
    """
    if outcomes.waiting:
        context.instance.add_run_tags(context.run.run_id, {WAITING_TAG: WAITS_FOR_BATCHES})
    for key, words in outcomes.waiting.items():
        context.log_event(AssetObservation(asset_key=context.asset_key, partition=key, metadata={WAITS: words}))
    for key, metadata in outcomes.written.items():
        event = AssetObservation if key in outcomes.gate_failures else AssetMaterialization
        context.log_event(event(asset_key=context.asset_key, partition=key, metadata=metadata))
