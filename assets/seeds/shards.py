"""Which shards the lake holds, in canonical order."""

import re
from collections.abc import Iterable

from assets.framework.languages import ENGLISH
from assets.framework.partitions import partition_columns, source_of
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake

_SHARD_FILE = re.compile(r"/shard=([^/]+-\d+)/part\.parquet")


def shard_number(shard: str) -> int:
    """`orca_math-0003` -> 3."""
    return int(shard.rpartition("-")[2])


def source_shards(lake: Lake, source: str) -> list[str]:
    """The written shards of a source by number, also those whose writer was killed before it indexed them."""
    indexed = {record.keys["shard"] for record in lake.records(SEEDS) if record.keys["source"] == source}
    folder = f"{SEEDS.name}/source={source}"
    found = (_SHARD_FILE.fullmatch(file.path.removeprefix(folder)) for file in lake.store.list(folder))
    written = {match[1] for match in found if match}
    for shard in written - indexed:
        lake.record(SEEDS, {"source": source, "shard": shard})
    return sorted(written, key=shard_number)


def shard_language(lake: Lake, shard: str) -> str:
    """The language of a written shard's seeds, `English` where its footer names none."""
    return str(lake.facts(SEEDS, {"source": source_of(shard), "shard": shard}).get("language", ENGLISH))


def languages_of(lake: Lake, partitions: Iterable[str]) -> list[str]:
    """The languages of the seeds of some partitions `<scenario>|<shard>`, sorted."""
    return sorted({shard_language(lake, partition_columns(partition)["shard"]) for partition in partitions})


def all_shards(lake: Lake) -> list[str]:
    """Every written shard, by source and number: the order in which Dagster lists them."""
    shards = [record.keys["shard"] for record in lake.records(SEEDS)]
    return sorted(shards, key=lambda shard: (source_of(shard), shard_number(shard)))
