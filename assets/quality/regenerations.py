"""Having rejected dialogues generated anew."""

from collections.abc import Collection, Iterable

import polars as pl

from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.framework.partitions import partition_columns
from assets.quality.rules import REASONS
from assets.quality.schema import SCORED
from resources.identity import stable_hash
from resources.lake.tables import Lake


def ask_again(lake: Lake, partitions: Iterable[str], reasons: Collection[str]) -> int:
    """Mark the rejected dialogues of these partitions that were rejected for one of these reasons.

    Their partitions are stale from then on, and the next run of `scenario_dialogues` makes those dialogues anew, and
    no others. A dialogue that is marked and was not yet made anew is not marked again: calling this twice changes
    nothing.

    Args:
        lake: where scores and marks are.
        partitions: keys as Dagster writes them, `debate|x-0003`.
        reasons: codes of `assets.quality.rules.REASONS`.

    Returns:
        How many dialogues were marked.

    Raises:
        ValueError: a reason is unknown; the message lists those there are.
    """
    unknown = sorted(set(reasons) - REASONS.keys())
    if unknown:
        raise ValueError(f"unknown rejection reasons {', '.join(unknown)}; there are {', '.join(REASONS)}")
    return sum(_mark(lake, partition_columns(partition), reasons) for partition in partitions)


def _mark(lake: Lake, keys: dict[str, str], reasons: Collection[str]) -> int:
    rejected = (
        lake.read(SCORED, [keys], ["dialogue_id", "accepted", "rejection_reasons"])
        .filter(pl.col("accepted").not_())
        .select("dialogue_id", reason=pl.col("rejection_reasons").list.set_intersection(list(reasons)).list.first())
        .drop_nulls("reason")
    )
    made = lake.read(DIALOGUES, [keys], ["dialogue_id", "generation"])
    marked = lake.read(REGENERATIONS, [keys])
    asked = (
        rejected.join(made, on="dialogue_id")
        .join(marked.select("dialogue_id", asked="generation"), on="dialogue_id", how="left")
        .filter(pl.col("asked").fill_null(0) <= pl.col("generation"))
    )
    if asked.is_empty():
        return 0
    new = asked.select(
        pl.lit(keys["scenario"]).alias("scenario"),
        pl.lit(keys["shard"]).alias("shard"),
        "dialogue_id",
        (pl.col("generation") + 1).cast(pl.Int32).alias("generation"),
        "reason",
    )
    kept = marked.join(new, on="dialogue_id", how="anti")
    rows = pl.concat([kept, new]).sort("dialogue_id")
    lake.write(REGENERATIONS, keys, rows, fingerprint=stable_hash(rows.rows()))
    return new.height
