"""Requests to generate dialogues again: they make a partition stale, and its next run generates those dialogues."""

import polars as pl

from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.framework.partitions import partition_columns
from resources.identity import stable_hash
from resources.lake.tables import Lake


def request_regenerations(lake: Lake, key: str, rejected: pl.DataFrame) -> int:
    """Request that dialogues of one partition are generated again, and no others.

    A dialogue whose last request was not fulfilled yet gets no second one: calling this twice changes nothing.

    Args:
        lake: where dialogues and requests are.
        key: the partition, `debate|x-0003`.
        rejected: the columns `dialogue_id` and `reason`.

    Returns:
        How many regenerations were requested.
    """
    keys = partition_columns(key)
    generated = lake.read(DIALOGUES, [keys], ["scenario", "shard", "dialogue_id", "generation"])
    requests = lake.read(REGENERATIONS, [keys])
    new = (
        generated.join(rejected, on="dialogue_id")
        .join(requests.select("dialogue_id", requested="generation"), on="dialogue_id", how="left")
        .filter(pl.col("requested").fill_null(0) <= pl.col("generation"))
        .with_columns((pl.col("generation") + 1).cast(pl.Int32))
        .select(requests.columns)
    )
    if new.height:
        rows = pl.concat([requests.join(new, on="dialogue_id", how="anti"), new]).sort("dialogue_id")
        lake.write(REGENERATIONS, keys, rows, fingerprint=stable_hash(rows.rows()))
    return new.height
