"""What a later try can mend: a lake or an endpoint that is away, but no full disk and no denied access.

Whoever waits at a terminal is told at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import AssetExecutionContext, Failure, RetryRequested

from resources.chat.calls import BudgetSpent, EndpointUnreachable, EndpointUnusable
from resources.lake.store import StoreError, StoreUnreachable

WAITS = (60, 300, 900)  # seconds before the second, third and fourth try
OUTAGE_TAG = "master/outage"
UNATTENDED = ("dagster/schedule_name", "dagster/sensor_name", "dagster/backfill")


def settle_outage(context: AssetExecutionContext, error: Exception) -> None:
    """Have the step tried again after a pause where that can help and a schedule, sensor or backfill launched its run.

    Returns where it is not to be tried again. The run is then marked, if the partitions are not to blame for its end:
    something that they need is away or spent.

    Raises:
        RetryRequested: Dagster is to run the step again, up to `len(WAITS)` times.
    """
    unattended = any(tag in context.run.tags for tag in UNATTENDED)
    if can_pass(error) and unattended and context.retry_number < len(WAITS):
        wait = WAITS[context.retry_number]
        context.log.warning(f"{error}\nTrying again in {wait} s.")
        raise RetryRequested(max_retries=len(WAITS), seconds_to_wait=wait) from error
    if isinstance(error, BudgetSpent | EndpointUnusable | StoreError):
        context.instance.add_run_tags(context.run.run_id, {OUTAGE_TAG: type(error).__name__})


@contextmanager
def lake_faults_told(context: AssetExecutionContext) -> Iterator[None]:
    """Have a step fail with what is wrong with the lake, not with the place in the code that found out.

    Raises:
        RetryRequested: see `settle_outage`.
        Failure: the lake cannot be used, and another try is not asked for.
    """
    try:
        yield
    except StoreError as error:
        settle_outage(context, error)
        raise Failure(str(error), allow_retries=False) from None


def can_pass(error: Exception) -> bool:
    """Whether what was wrong may have gone by itself in some minutes."""
    return isinstance(error, StoreUnreachable | EndpointUnreachable)
