from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from dagster import DagsterInstance

from assets.framework.partitions import SHARDS
from assets.seeds.intake import take_in
from assets.seeds.mirror import mirror_shards
from resources.lake.tables import Lake

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure, WriteRows

IN_LAKE = ["pears-0000", "sums-0000", "sums-0001", "sums-0002"]


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def filled(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> Lake:
    """A lake with the shards `IN_LAKE`, those of `sums` written first."""
    write_rows({"question": f"{number} + 1?", "answer": f"{number + 1}"} for number in range(3))
    take_in(lake, configure(shard_size=1), "sums")
    take_in(lake, configure({"name": "pears"}), "pears")
    return lake


@pytest.mark.parametrize(
    ("in_instance", "added"),
    [
        ([], IN_LAKE),
        (IN_LAKE, []),
        (["sums-0001"], ["pears-0000", "sums-0000", "sums-0002"]),
        (["gone-0000", "pears-0000"], ["sums-0000", "sums-0001", "sums-0002"]),
    ],
)
def test_the_instance_has_the_shards_of_the_lake(
    filled: Lake, instance: DagsterInstance, in_instance: list[str], added: list[str]
) -> None:
    instance.add_dynamic_partitions(SHARDS, in_instance)
    assert mirror_shards(filled, instance) == added
    assert set(instance.get_dynamic_partitions(SHARDS)) == set(IN_LAKE)
    if not in_instance:
        assert instance.get_dynamic_partitions(SHARDS) == IN_LAKE


def test_an_empty_lake_has_no_shards(lake: Lake, instance: DagsterInstance) -> None:
    assert mirror_shards(lake, instance) == []
