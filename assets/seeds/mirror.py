"""Dagster's shard partitions follow the shards of the lake."""

from dagster import DagsterInstance

from assets.framework.partitions import SHARDS
from assets.seeds.shards import all_shards
from resources.lake.tables import Lake


def mirror_shards(lake: Lake, instance: DagsterInstance) -> list[str]:
    """Make the instance's shard partitions equal to the lake's shards.

    Returns:
        The shards that were added to the instance, in canonical order.
    """
    in_instance = set(instance.get_dynamic_partitions(SHARDS))
    mirrored = mirrored_shards(lake, instance)
    for shard in sorted(in_instance.difference(mirrored)):
        instance.delete_dynamic_partition(SHARDS, shard)
    missing = [shard for shard in mirrored if shard not in in_instance]
    if missing:
        instance.add_dynamic_partitions(SHARDS, missing)
    return missing


def mirrored_shards(lake: Lake, instance: DagsterInstance) -> list[str]:
    """The shards that the instance has after `mirror_shards`, in its order: it appends those that it does not know."""
    in_instance = instance.get_dynamic_partitions(SHARDS)
    in_lake = all_shards(lake)  # read after the instance, which learns of a shard when it is written
    written = set(in_lake)
    return list(dict.fromkeys([*(shard for shard in in_instance if shard in written), *in_lake]))
