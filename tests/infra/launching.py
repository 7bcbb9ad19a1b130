"""One of several processes that make partitions of a small asset at the same time: `launching.py <first> <count>`."""

import sys

from dagster import AssetExecutionContext, DagsterInstance, DynamicPartitionsDefinition, asset, materialize

things = DynamicPartitionsDefinition(name="things")


@asset(partitions_def=things)
def thing(context: AssetExecutionContext) -> None:
    context.log.info("here")
    context.instance.add_dynamic_partitions("things", [f"{context.partition_key}-child"])


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    with DagsterInstance.get() as instance:
        for number in range(first, first + count):
            key = f"thing-{number}"
            instance.add_dynamic_partitions("things", [key])
            materialize([thing], instance=instance, partition_key=key)
