"""Every partitions definition of the graph, named once.

Sources are static: they are what the seeds configuration lists. Shards are dynamic: `raw_seeds` registers each shard
that it writes, and the lake is the truth; `mirror_lake` rebuilds them in a fresh Dagster instance.
"""

from collections.abc import Iterable
from enum import StrEnum

from dagster import DynamicPartitionsDefinition, MultiPartitionsDefinition, StaticPartitionsDefinition


class Scenario(StrEnum):
    """The three ways of teaching (METHOD: the scenarios)."""

    ERROR_CORRECTION = "error_correction"
    DEBATE = "debate"
    ANALOGY = "analogy"


class Split(StrEnum):
    """Parts of a release."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SHARDS = "shards"
VARIANTS = ("boost_qa", "ori")

shards = DynamicPartitionsDefinition(name=SHARDS)
scenarios = StaticPartitionsDefinition([scenario.value for scenario in Scenario])
# Dagster writes a key of two dimensions in the alphabetical order of their names: `debate|orca_math-0003`.
lessons = MultiPartitionsDefinition({"scenario": scenarios, "shard": shards})
variants = StaticPartitionsDefinition(list(VARIANTS))


def sources(names: Iterable[str]) -> StaticPartitionsDefinition:
    """One partition a source of the seeds configuration."""
    return StaticPartitionsDefinition(list(names))


def shard_name(source: str, number: int) -> str:
    """`orca_math-0003`."""
    return f"{source}-{number:04d}"


def source_of(shard: str) -> str:
    """The source that a shard belongs to: `orca_math-0003` -> `orca_math`."""
    return shard.rpartition("-")[0]
