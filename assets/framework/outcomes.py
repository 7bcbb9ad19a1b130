"""What a run that works through several partitions tells of each, however it ends."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster import AssetExecutionContext, AssetMaterialization, AssetObservation, Failure

from assets.framework.partitions import selected_keys
from assets.framework.retries import settle_outage
from resources.lake.store import StoreError

SHOWN_KEYS = 8
ROWS = "dagster/partition_row_count"


@dataclass(slots=True)
class Outcomes:
    """The partitions of a run, and what became of them so far. It is updated as the run goes on."""

    keys: Sequence[str]
    described: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # metadata of each that is written
    unfit: dict[str, str] = field(default_factory=dict)  # written, but its gate failed, and why
    faults: dict[str, str] = field(default_factory=dict)  # could not be made, and why

    def words(self) -> str:
        """What is done and what is left, as a sentence for people."""
        left = [key for key in self.keys if key not in self.described and key not in self.faults]
        rest = f"left: {_named(left)}" if left else "nothing is left"
        return f"{len(self.described)} of {len(self.keys)} partitions are written; {rest}"


@contextmanager
def outcomes_told(context: AssetExecutionContext, *stops: type[Exception]) -> Iterator[Outcomes]:
    """Work through the partitions of a run; Dagster learns of every written one, also where others fail or it is ended.

    Args:
        context: of the asset's run.
        stops: the errors, beside those of the store, that end a run whichever partition meets them.

    Yields:
        The outcomes, to be filled in.

    Raises:
        RetryRequested: see `settle_outage`.
        Failure: names the partitions that failed, or what ended the run and what is left.
    """
    outcomes = Outcomes(selected_keys(context))
    ends_the_run: tuple[type[Exception], ...] = (StoreError, *stops)
    try:
        yield outcomes
        if failed := outcomes.faults | outcomes.unfit:
            count = f"{len(failed)} of {len(outcomes.keys)} partitions failed; what else could be made is written"
            raise Failure(f"{_reasons(failed)}\n{count}", allow_retries=False)
    except ends_the_run as error:
        _report_written(context, outcomes)
        settle_outage(context, error)
        raise Failure(
            f"{error}\n{outcomes.words()}. What was made or paid for is kept: the same command goes on from there.",
            allow_retries=False,
        ) from None
    except Failure:
        _report_written(context, outcomes)
        raise
    except BaseException:
        _report_written(context, outcomes)
        context.log.warning(outcomes.words())
        raise
    for key, metadata in outcomes.described.items():
        context.add_asset_metadata(metadata, partition_key=key)
    rows = sum(metadata.get(ROWS, 0) for metadata in outcomes.described.values())
    context.log.info(f"{outcomes.words()}; they hold {rows:,} rows")


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(keys[:SHOWN_KEYS]) + more


def _reasons(failed: Mapping[str, str]) -> str:
    """A line a reason with the partitions that it is true of: a source's fault is that of all its shards."""
    keys: dict[str, list[str]] = {}
    for key, reason in sorted(failed.items()):
        keys.setdefault(reason, []).append(key)
    return "\n".join(f"{_named(those)}: {reason}" for reason, those in keys.items())


def _report_written(context: AssetExecutionContext, outcomes: Outcomes) -> None:
    """Tell Dagster at once of what is written: a run that fails records nothing at its end.

    Partitions whose gate failed are observed, not materialised.
    """
    for key, metadata in outcomes.described.items():
        event = AssetObservation if key in outcomes.unfit else AssetMaterialization
        context.log_event(event(asset_key=context.asset_key, partition=key, metadata=metadata))
