"""The partitions definitions of all assets.

Sources are static: the seeds configuration lists them. Shards are dynamic: `raw_seeds` adds each shard that it writes.
The job `mirror_lake` adds the shards of the lake to a new Dagster instance.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from dagster import (
    AssetExecutionContext,
    BetaWarning,
    DynamicPartitionsDefinition,
    Failure,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
)

# Dagster 1.13 warns for each asset that these are beta. Remove this when they no longer are.
warnings.filterwarnings("ignore", r".*(`backfill_policy`|`MultiToSingleDimensionPartitionMapping`)", BetaWarning)


class Split(StrEnum):
    """Parts of a release."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SHARDS = "shards"
PARTITION_TAG = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
VARIANTS = (
    "boost_qa",
    "ori",
    "boost_qa_unless_wrong",
    "boost_qa_final",
    "dpo",
    "kto",
    "critique",
    "rlvr",
    "random_aug",
    "spelling_aug",
    "cot",
    "cot_collection",
    "tagcos",
)
"""Training sets of every deployment. An ablation for each choice of scenarios comes on top, see `ablations`."""
FREE_VARIANTS = VARIANTS[: VARIANTS.index("random_aug")]
"""Training sets that call no model, first in `VARIANTS`. The others serve comparisons, and are materialised by hand."""
NOT_TUNED = ("rlvr",)
"""Training sets for other trainers, and so no partitions of `checkpoints`."""
TUNED_BY_DEFAULT = ("boost_qa", "ori")
"""Training sets on which base models are tuned by default; those that the training configuration names come on top."""
UNTUNED = "untuned"

shards = DynamicPartitionsDefinition(name=SHARDS)


class TwoDimensions(MultiPartitionsDefinition):
    """Partitions of two dimensions whose runs have no tag per dimension.

    Dagster 1.13.27 tags the run of a job backfill with its range and with the dimensions of the range's first key, and
    then takes the first key for the whole range (dagster-io/dagster#28861). Remove this when that is fixed.
    """

    def get_tags_for_partition_key(self, partition_key: str) -> Mapping[str, str]:
        """Only the tag with the whole key, which a job backfill replaces with its range."""
        return {PARTITION_TAG: partition_key}


def dialogue_partitions(scenarios: Iterable[str]) -> MultiPartitionsDefinition:
    """One partition per scenario and shard.

    Dagster writes a key of two dimensions in the alphabetical order of their names: `debate|orca_math-0003`.
    """
    return TwoDimensions({"scenario": StaticPartitionsDefinition(list(scenarios)), "shard": shards})


def sources(names: Iterable[str]) -> StaticPartitionsDefinition:
    """One partition per source of the seeds configuration."""
    return StaticPartitionsDefinition(list(names))


def tunings(bases: Iterable[str], variants: Iterable[str]) -> MultiPartitionsDefinition:
    """One partition per base model and variant, such as `smollm2-135m|boost_qa`; `untuned` is the base model itself."""
    return TwoDimensions(
        {"base": StaticPartitionsDefinition(list(bases)), "variant": StaticPartitionsDefinition([UNTUNED, *variants])}
    )


def partition_tags(keys: Sequence[str]) -> dict[str, str]:
    """The tags of a run over one partition, or over the range from the first to the last of these keys."""
    return {PARTITION_TAG: keys[0]} if len(keys) == 1 else {RANGE_START: keys[0], RANGE_END: keys[-1]}


def shard_name(source: str, number: int) -> str:
    """`orca_math-0003`."""
    return f"{source}-{number:04d}"


def source_of(shard: str) -> str:
    """The source that a shard belongs to: `orca_math-0003` -> `orca_math`."""
    return shard.rpartition("-")[0]


def selected_keys(context: AssetExecutionContext) -> list[str]:
    """The partition keys of this run, in order.

    Raises:
        Failure: there is none; Dagster selects none for a reversed range.
    """
    keys = list(context.partition_keys)
    if not keys:
        raise Failure(
            f"{context.asset_key.to_user_string()}: the run's partition range selects nothing; "
            "give its first key before its last, in the order in which the UI lists them",
            allow_retries=False,
        )
    return keys


def partition_columns(key: str) -> dict[str, str]:
    """The columns of a partition key: `debate|x-0003` -> {"scenario": "debate", "shard": "x-0003"}."""
    scenario, _, shard = key.partition("|")
    return {"scenario": scenario, "shard": shard}
