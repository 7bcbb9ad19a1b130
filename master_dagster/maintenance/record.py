"""Dagster's record of materialisations, updated from the lake."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    MultiPartitionKey,
)

from assets.boost_qa.release import HOME as RELEASES
from assets.dialogue_browser.schema import LISTED
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partitions import VARIANTS
from assets.quality.schema import SCORED
from assets.report.schema import REPORT_SCORES
from assets.seeds.schema import EMBEDDINGS, READINGS, SEEDS
from assets.training_programs.specification import HOME as CHECKPOINTS
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS, GRADIENT_FEATURES
from assets.training_sets.variants import HOME as TRAINING_SETS
from resources.lake.published_folders import LATEST, MANIFEST, read_latest
from resources.lake.tables import Lake, PartitionRecord, Table

EVENTS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class Materialised:
    """A partition of an asset in the lake; `partition` is None for an asset without partitions."""

    partition: str | None
    written_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


def record_lake(lake: Lake, instance: DagsterInstance) -> dict[str, int]:
    """Report every partition of the lake to the instance that has no record of it, or one of an earlier version.

    Each is reported once, with its fingerprint. Partitions whose gate failed are due and are not reported.

    Returns:
        Asset name to the number of reported partitions, for assets with at least one.
    """
    reported = {}
    for asset, made in _everything(lake):
        key = AssetKey(asset)
        known = _recorded(instance, key)
        new = [one for one in made if one.written_at > known.get(one.partition, datetime.min.replace(tzinfo=UTC))]
        for one in new:
            instance.report_runless_asset_event(
                AssetMaterialization(
                    key,
                    partition=one.partition,
                    description="Found in the lake.",
                    tags=_dimensions(one.partition),
                    metadata={**one.facts, "written at": one.written_at.isoformat(timespec="seconds")},
                )
            )
        if new:
            reported[asset] = len(new)
    return reported


def _dimensions(partition: str | None) -> dict[str, str]:
    """The tags that Dagster gives to a partition of two dimensions, by which the UI finds it by either."""
    keys = partition.keys_by_dimension if isinstance(partition, MultiPartitionKey) else {}
    return {f"dagster/partition/{name}": key for name, key in keys.items()}


def _everything(lake: Lake) -> Iterator[tuple[str, list[Materialised]]]:
    yield "raw_seeds", [_made(record, record.name) for record in lake.records(READINGS)]
    yield "seed_embeddings", _embedded_sources(lake)
    yield "dialogue_plans", _written(lake, DIALOGUE_PLANS)
    yield "scenario_dialogues", _written(lake, DIALOGUES)
    yield "scored_dialogues", _written(lake, SCORED)
    yield "boost_qa", list(_published(lake, None, RELEASES))
    yield (
        "training_sets",
        [made for variant in VARIANTS for made in _published(lake, variant, f"{TRAINING_SETS}/{variant}")],
    )
    answers = lake.records(CHAIN_OF_THOUGHT_ANSWERS)  # one per release, but the asset has no partitions
    yield (
        CHAIN_OF_THOUGHT_ANSWERS.name,
        [_made(record, None) for record in sorted(answers, key=lambda record: record.written_at)[-1:]],
    )
    yield CHECKPOINTS, _tuned(lake)
    yield BENCHMARK_SCORES.name, _written(lake, BENCHMARK_SCORES)
    for home in (GRADIENT_FEATURES.name, REPORT_SCORES.name, LISTED.name):
        yield home, list(_published(lake, None, home))


def _written(lake: Lake, table: Table) -> list[Materialised]:
    found = []
    for record in lake.records(table):
        if record.gate == "passed":
            name = record.name if len(record.keys) == 1 else MultiPartitionKey(dict(record.keys))
            found.append(_made(record, name))
    return found


def _made(record: PartitionRecord, name: str | None) -> Materialised:
    return Materialised(
        name, record.written_at, {"fingerprint": record.fingerprint, "dagster/partition_row_count": record.rows}
    )


def _embedded_sources(lake: Lake) -> list[Materialised]:
    """The sources of which every shard is embedded: the asset is partitioned by source, its table also by shard."""
    vectors: dict[str, list[PartitionRecord]] = {}
    for record in lake.records(EMBEDDINGS):
        vectors.setdefault(record.keys["source"], []).append(record)
    seeds: dict[str, set[str]] = {}
    for record in lake.records(SEEDS):
        seeds.setdefault(record.keys["source"], set()).add(record.keys["shard"])
    return [
        Materialised(
            source,
            max(record.written_at for record in records),
            {"dagster/partition_row_count": sum(record.rows for record in records)},
        )
        for source, records in vectors.items()
        if seeds.get(source, set()) <= {record.keys["shard"] for record in records}
    ]


def _tuned(lake: Lake) -> list[Materialised]:
    """The latest checkpoint of every base model and variant."""
    found: list[Materialised] = []
    for file in lake.store.list(CHECKPOINTS):
        home, _, name = file.path.rpartition("/")
        if name == LATEST and home.count("/") == 2:
            _, base, variant = home.split("/")
            found.extend(_published(lake, MultiPartitionKey({"base": base, "variant": variant}), home))
    return found


def _published(lake: Lake, partition: str | None, home: str) -> Iterable[Materialised]:
    """The latest folder below `home`, if there is one."""
    latest = read_latest(lake.store, home)
    if latest is None:
        return
    try:
        manifest = json.loads(lake.store.get(f"{latest['folder']}/{MANIFEST}"))
    except FileNotFoundError:
        return
    yield Materialised(
        partition, datetime.fromisoformat(manifest["made_at"]), {"id": latest["id"], "path": latest["folder"]}
    )


def _recorded(instance: DagsterInstance, key: AssetKey) -> dict[str | None, datetime]:
    """When each partition was last recorded as materialised."""
    unpartitioned = instance.get_latest_materialization_event(key)
    latest: dict[str | None, datetime] = {}
    if unpartitioned is not None:
        latest[None] = datetime.fromtimestamp(unpartitioned.timestamp, UTC)
    ids = sorted(
        instance.event_log_storage.get_latest_storage_id_by_partition(
            key, DagsterEventType.ASSET_MATERIALIZATION
        ).values()
    )
    for start in range(0, len(ids), EVENTS_PER_QUERY):
        chosen = AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + EVENTS_PER_QUERY])
        for record in instance.fetch_materializations(chosen, limit=EVENTS_PER_QUERY).records:
            latest[record.partition_key] = datetime.fromtimestamp(record.timestamp, UTC)
    return latest
