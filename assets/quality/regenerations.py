"""Generating rejected dialogues again."""

from collections.abc import Collection, Iterable

import polars as pl

from assets.dialogues.regenerations import request_regenerations
from assets.framework.partitions import partition_columns
from assets.quality.rules import REASONS
from assets.quality.schema import SCORED
from resources.lake.tables import Lake


def regenerate_rejected_dialogues(lake: Lake, partitions: Iterable[str], reasons: Collection[str]) -> int:
    """Request that the dialogues which were rejected for one of these reasons are generated again.

    See `request_regenerations` for what that does to their partitions.

    Args:
        lake: where scores and requests are.
        partitions: Dagster's partition keys, `debate|x-0003`.
        reasons: codes of `assets.quality.rules.REASONS`.

    Returns:
        How many dialogues are to be generated again.

    Raises:
        ValueError: a reason is unknown; the message lists those there are.
    """
    unknown = sorted(set(reasons) - REASONS.keys())
    if unknown:
        raise ValueError(f"unknown rejection reasons {', '.join(unknown)}; there are {', '.join(REASONS)}")
    matched = pl.col("rejection_reasons").list.set_intersection(list(reasons)).list.first()
    return sum(
        request_regenerations(
            lake,
            key,
            lake.read(SCORED, [partition_columns(key)], ["dialogue_id", "accepted", "rejection_reasons"])
            .filter(pl.col("accepted").not_())
            .select("dialogue_id", reason=matched)
            .drop_nulls("reason"),
        )
        for key in partitions
    )
