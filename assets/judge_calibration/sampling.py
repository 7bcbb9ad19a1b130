"""Stratified, reproducible samples of scored dialogues, with their questions."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import polars as pl

from assets.dialogues.questions import PartnerQuestions
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import partition_columns
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.inputs import DialogueInput, read_dialogues
from assets.quality.partition_status import Expected, PartitionStatus, partition_statuses
from assets.quality.schema import SCORED
from resources.identity import draw, stable_hash
from resources.lake.tables import Lake


def current_partitions(lake: Lake, expected: Expected) -> list[PartitionStatus]:
    """The partitions whose dialogues and scores are current and passed their gates."""
    return [status for status in partition_statuses(lake, expected) if status.why is None]


def content_hash(partitions: Iterable[PartitionStatus]) -> str:
    """Hash of the rows of some partitions."""
    return stable_hash(
        [
            (status.key, dialogues.content, scored.content)
            for status in partitions
            if (dialogues := status.dialogues) and (scored := status.scored)
        ]
    )


def read_scores(lake: Lake, partitions: Sequence[PartitionStatus], columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of the scores of partitions."""
    if not partitions:
        return SCORED.empty().select(columns)
    return lake.read(SCORED, [partition_columns(status.key) for status in partitions], columns)


def evenly(rows: pl.DataFrame, strata: Sequence[str], size: int, *seed: str) -> pl.DataFrame:
    """At most `size` rows, as many from each stratum as it has or as its turn comes.

    A larger sample contains the smaller one. The order is that of a hash of `dialogue_id`, in each stratum.
    """
    drawn = pl.Series("drawn", [draw("sample", *seed, name) for name in rows["dialogue_id"]], dtype=pl.Float64)
    ordered = rows.with_columns(drawn).sort("drawn", "dialogue_id")
    return (
        ordered.with_columns(turn=pl.int_range(pl.len()).over(*strata))
        .sort("turn", "drawn", "dialogue_id")
        .head(size)
        .drop("turn", "drawn")
    )


def read_sample(lake: Lake, scenarios: Scenarios, sample: pl.DataFrame) -> list[DialogueInput]:
    """The dialogues of a sample, with their questions, by partition and dialogue_id.

    Args:
        lake: where they are.
        scenarios: all that the sample names.
        sample: with `scenario`, `shard` and `dialogue_id`.

    Raises:
        PartitionError: a seed is not in the lake.
    """
    wanted = sorted(sample.select("scenario", "shard", "dialogue_id").iter_rows())
    keys = {f"{scenario}|{shard}" for scenario, shard, _ in wanted}
    partners = PartnerQuestions(lake, DIALOGUES, sorted(keys), scenarios)
    found: list[DialogueInput] = []
    for (scenario, shard), members in groupby(wanted, key=lambda row: row[:2]):
        names = {name for *_, name in members}
        _, dialogues = read_dialogues(lake, {"scenario": scenario, "shard": shard}, partners)
        found += [dialogue for dialogue in dialogues if dialogue.dialogue_id in names]
    return found
