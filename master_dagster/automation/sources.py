"""The sensor that watches the sources of seeds: reads those that changed, then plans their new shards."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.partitions import PARTITION_TAG, partition_tags
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.listing import source_listing, why_changed
from assets.seeds.mirror import mirror_shards, mirrored_shards
from assets.seeds.rows import SeedsError
from assets.seeds.schema import EMBEDDINGS, READINGS, SEEDS
from master_dagster.automation.nightly import DUE_TAG, IN_PROGRESS
from master_dagster.jobs import plan_dialogues, read_seeds
from resources.identity import stable_hash
from resources.lake.tables import Lake

SOURCES_SENSOR = "read_changed_sources"


@dataclass(frozen=True, slots=True)
class SourceChange:
    """Whether a source is to be read. `why` is None where it is not, or where a `problem` leaves it unknown."""

    source: str
    listing: str | None
    why: str | None = None
    problem: str | None = None


def source_changes(lake: Lake, seeds: SeedsConfiguration) -> Iterator[SourceChange]:
    """Every source, compared with its last reading. Lists files and asks the hub; reads none of their rows."""
    embedded = {record.name for record in lake.records(EMBEDDINGS)}
    without = {record.keys["source"] for record in lake.records(SEEDS) if record.name not in embedded}
    for source in seeds.sources:
        try:
            listing = source_listing(source, seeds, lake.s3)
        except SeedsError as error:
            yield SourceChange(source.name, None, problem=str(error))
        else:
            unembedded = "it has seeds without embeddings" if source.name in without else None
            yield SourceChange(source.name, listing, why_changed(lake, source.name, listing) or unembedded)


def unplanned_shards(lake: Lake, seeds: SeedsConfiguration) -> dict[str, list[str]]:
    """The shards with embeddings and without plans, by source. Reads the lake's index only."""
    planned = {record.keys["shard"] for record in lake.records(DIALOGUE_PLANS)}
    found: dict[str, list[str]] = {}
    for record in lake.records(EMBEDDINGS):
        if record.keys["shard"] not in planned and record.keys["source"] in seeds.source_names:
            found.setdefault(record.keys["source"], []).append(record.keys["shard"])
    return found


def sources_sensor() -> SensorDefinition:
    """Launches `read_seeds` for each source that changed, then `plan_dialogues` for the new shards. Off by default."""

    @sensor(
        name=SOURCES_SENSOR,
        jobs=[read_seeds, plan_dialogues],
        minimum_interval_seconds=300,
        default_status=DefaultSensorStatus.STOPPED,
        description="Reads and embeds sources whose files or hub commit changed since their last reading, and plans "
        "the new shards. A source that changed since the tick before is read at the next tick: a file may be "
        "half written.",
    )
    def read_changed_sources(
        context: SensorEvaluationContext,
        lake: ResourceParam[Lake],
        seeds_configuration: ResourceParam[SeedsConfiguration],
    ) -> SensorResult:
        before: dict[str, str | None] = json.loads(context.cursor or "{}")
        seen, requests, messages = dict(before), list[RunRequest](), list[str]()
        for change in source_changes(lake, seeds_configuration):
            if change.problem:
                messages.append(change.problem)
                continue
            seen[change.source] = change.listing
            if change.why and before.get(change.source) == change.listing:
                requests.append(reading_request(lake, change))
            elif change.why:
                messages.append(f"source {change.source!r} is read if it is unchanged at the next tick")
        requests += planning_requests(lake, seeds_configuration, context.instance)
        skipped = None if requests else SkipReason("; ".join(messages) or "no source changed")
        for message in messages:
            context.log.info(message)
        return SensorResult(requests, skipped, cursor=json.dumps(seen))

    return read_changed_sources


def reading_request(lake: Lake, change: SourceChange) -> RunRequest:
    """The run that reads a source; a reading that failed is not launched again for the same files."""
    last = lake.record(READINGS, {"source": change.source})
    key = stable_hash("reading", change.source, change.listing, last.fingerprint if last else None)
    tags = {PARTITION_TAG: change.source, DUE_TAG: str(change.why)}
    return RunRequest(key, job_name=read_seeds.name, tags=tags)


def planning_requests(lake: Lake, seeds: SeedsConfiguration, instance: DagsterInstance) -> list[RunRequest]:
    """One run per source with unplanned shards, from the first to the last; none while sources are read.

    Plans that lie between them do not change.
    """
    unplanned = unplanned_shards(lake, seeds)
    if not unplanned or instance.get_runs(RunsFilter(job_name=read_seeds.name, statuses=IN_PROGRESS), limit=1):
        return []
    mirror_shards(lake, instance)
    position = {shard: number for number, shard in enumerate(mirrored_shards(lake, instance))}
    requests = []
    for shards in unplanned.values():
        key = stable_hash("planning", sorted(shards))
        ends = partition_tags(sorted(shards, key=position.__getitem__))
        tags = {DUE_TAG: f"{len(shards)} shards not planned yet", **ends}
        requests.append(RunRequest(key, job_name=plan_dialogues.name, tags=tags))
    return requests
