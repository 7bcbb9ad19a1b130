"""Dagster's record of materialisations, updated from the lake."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
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
from assets.framework.ui_metadata import ROW_COUNT
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from assets.quality.schema import SCORED
from assets.report.schema import REPORT_SCORES
from assets.review.schema import REVIEW_SAMPLE
from assets.seeds.schema import EMBEDDINGS, READINGS, SEEDS
from assets.spending.schema import SPENDING
from assets.training_programs.specification import HOME as CHECKPOINTS
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS, GRADIENT_FEATURES
from assets.training_sets.variants import HOME as TRAINING_SETS
from resources.lake.published_folders import LATEST, MANIFEST
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake

EVENTS_PER_QUERY = 500
PUBLISHED: Mapping[str, Sequence[str]] = {  # assets that publish folders: the dimensions of their partitions
    RELEASES: (),
    TRAINING_SETS: ("variant",),
    GRADIENT_FEATURES.name: (),
    CHECKPOINTS: ("base", "variant"),
    REPORT_SCORES.name: (),
    LISTED.name: (),
    REVIEW_SAMPLE.name: (),
}


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
    yield "seed_embeddings", list(_embedded_sources(lake))
    for table in (DIALOGUE_PLANS, DIALOGUES, SCORED, BENCHMARK_SCORES):
        passed = [record for record in lake.records(table) if record.gate == "passed"]
        yield table.name, [_made(record, _partition(record.keys)) for record in passed]
    for table in (
        CHAIN_OF_THOUGHT_ANSWERS,
        JUDGE_CALIBRATION,
        SPENDING,
    ):  # one per release, judge or day; the assets have no partitions
        newest = sorted(lake.records(table), key=lambda record: record.written_at)[-1:]
        yield table.name, [_made(record, None) for record in newest]
    for asset, dimensions in PUBLISHED.items():
        yield asset, list(_published(lake, asset, dimensions))


def _partition(keys: Mapping[str, str]) -> str | None:
    """The partition key of these dimensions; None where there is none."""
    return MultiPartitionKey(dict(keys)) if len(keys) > 1 else next(iter(keys.values()), None)


def _made(record: PartitionRecord, partition: str | None) -> Materialised:
    facts = {"fingerprint": record.fingerprint, ROW_COUNT: record.rows}
    return Materialised(partition, record.written_at, facts)


def _embedded_sources(lake: Lake) -> Iterator[Materialised]:
    """The sources of which every shard is embedded: the asset is partitioned by source, its table also by shard."""
    shards = {(record.keys["source"], record.keys["shard"]) for record in lake.records(SEEDS)}
    embedded = lake.records(EMBEDDINGS)
    missing = shards - {(record.keys["source"], record.keys["shard"]) for record in embedded}
    incomplete = {source for source, _ in missing}
    for source, group in groupby(embedded, key=lambda record: record.keys["source"]):
        records = list(group)
        if source not in incomplete:
            rows = sum(record.rows for record in records)
            yield Materialised(source, max(one.written_at for one in records), {ROW_COUNT: rows})


def _published(lake: Lake, asset: str, dimensions: Sequence[str]) -> Iterator[Materialised]:
    """The latest folder of each partition of an asset that publishes folders."""
    for file in lake.store.list(asset):
        home, _, name = file.path.rpartition("/")
        keys = home.split("/")[1:]
        if name != LATEST or len(keys) != len(dimensions):
            continue
        latest = json.loads(lake.store.get(file.path))
        with suppress(FileNotFoundError):  # a folder that is not complete
            manifest = json.loads(lake.store.get(f"{latest['folder']}/{MANIFEST}"))
            written_at = datetime.fromisoformat(manifest["made_at"])
            partition = _partition(dict(zip(dimensions, keys, strict=True)))
            yield Materialised(partition, written_at, {"id": latest["id"], "path": latest["folder"]})


def _recorded(instance: DagsterInstance, key: AssetKey) -> dict[str | None, datetime]:
    """When each partition was last recorded as materialised."""
    latest: dict[str | None, datetime] = {}
    if unpartitioned := instance.get_latest_materialization_event(key):
        latest[None] = datetime.fromtimestamp(unpartitioned.timestamp, UTC)
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
    ids = sorted(newest.values())
    for start in range(0, len(ids), EVENTS_PER_QUERY):
        chosen = AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + EVENTS_PER_QUERY])
        for record in instance.fetch_materializations(chosen, limit=EVENTS_PER_QUERY).records:
            latest[record.partition_key] = datetime.fromtimestamp(record.timestamp, UTC)
    return latest
