"""The nightly schedule: launches the partitions that are due, contiguous ones together, and says what it left and why."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultScheduleStatus,
    PartitionKeyRange,
    ResourceParam,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogues.estimate import dialogue_expenses, measured_averages
from assets.dialogues.prompts import PromptBook
from assets.framework.partitions import SHARDS, Scenario, dialogue_partitions
from assets.framework.run_report import OUTAGE_TAG
from assets.quality.configuration import QualityRules
from assets.quality.partition_status import expected_fingerprints, partition_statuses
from assets.seeds.mirror import mirror_shards
from master_dagster.automation.due import Averages, Batch, Limits, choose, together
from master_dagster.jobs import teach_and_score
from master_dagster.maintenance.dead_runs import end_dead_runs
from resources.chat.profile import Profile
from resources.chat.service import ChatService
from resources.lake.tables import Lake

NIGHTLY = "nightly_partitions"
DUE_TAG = "master/due"
PARTITIONS_TAG = "master/partitions"  # the UI's list of runs shows a single partition, but no range
TICK_TAG = "dagster/scheduled_execution_time"
RANGE_START, RANGE_END = (f"dagster/asset_partition_range_{side}" for side in ("start", "end"))
IN_FLIGHT = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
# A run that was killed on another machine's command line stays STARTED for ever (see `processes` for this one's). A
# run's record is updated when its status changes, so a run this old may still be alive: its partitions are then made by
# two runs, of which the later pays only for what the journal does not hold.
LONGEST_RUN = timedelta(hours=24)
TRIED = timedelta(days=7)  # failures before that are forgotten


def nightly_schedule(cron: str, limits: Limits, most: int) -> ScheduleDefinition:
    """The schedule that launches due partitions within `limits`, at most `most` in a run. Off until switched on."""

    @schedule(
        name=NIGHTLY,
        job=teach_and_score,
        cron_schedule=cron,
        default_status=DefaultScheduleStatus.STOPPED,
        description="Launches partitions that are missing, failed or stale. A tick's log says which, and what it left.",
    )
    def nightly_partitions(
        context: ScheduleEvaluationContext,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        prompts: ResourceParam[PromptBook],
        quality_rules: ResourceParam[QualityRules],
        plan_rules: ResourceParam[PlanRules],
    ) -> list[RunRequest] | SkipReason:
        instance, tick = context.instance, context.scheduled_execution_time
        if launched := runs_of_tick(instance, tick):
            context.log.info(f"This tick launched {len(launched)} runs before it was interrupted; no others come.")
            return [RunRequest(run.tags["dagster/run_key"], tags=_own_tags(run)) for run in launched]
        end_dead_runs(instance)
        mirror_shards(lake, instance)
        # The queue learns of a pool when it first launches a run of it, and lets the runs beside that one through.
        instance.event_log_storage.initialize_concurrency_limit_to_default("models")
        now = datetime.now(UTC)
        choice = choose(
            partition_statuses(lake, expected_fingerprints(chat.profile, prompts, quality_rules)),
            partitions_in_flight(instance, now),
            failed_nights(instance, now),
            averages_of(lake, chat.profile, plan_rules) if limits.measured else None,
            limits,
        )
        for line in choice.summary.splitlines():
            context.log.info(line)
        if not choice.taken:
            return SkipReason(choice.summary)
        batches = together(choice.taken, instance.get_dynamic_partitions(SHARDS), most)
        for batch in batches:
            context.log.info(f"Launched: {_named(batch)} ({batch.why})")
        return [_request(batch, tick) for batch in batches]

    return nightly_partitions


def averages_of(lake: Lake, profile: Profile, rules: PlanRules) -> Averages:
    """What dialogues took lately, by this profile's models, and how the rules share out seeds."""
    dialogue, verdict = dialogue_expenses(profile, measured_averages(lake, profile))
    shares = {Scenario(name): share for name, share in rules.scenarios.expected.items()}
    return Averages(dialogue, verdict, shares)


def runs_of_tick(instance: DagsterInstance, tick: datetime) -> Sequence[DagsterRun]:
    """The runs that this very tick launched already: it was interrupted, and Dagster evaluates it again."""
    at = tick.astimezone(UTC).isoformat()
    return instance.get_runs(RunsFilter(tags={"dagster/schedule_name": NIGHTLY, TICK_TAG: at}))


def partitions_in_flight(instance: DagsterInstance, now: datetime) -> set[str]:
    """Keys of the partitions that queued or running runs are going to make at `now`, single ones and ranges.

    A run that started more than `LONGEST_RUN` ago, with nothing heard since, counts as dead.
    """
    keys: set[str] = set()
    for record in instance.get_run_records(RunsFilter(statuses=IN_FLIGHT)):
        run = record.dagster_run
        if run.status is DagsterRunStatus.STARTED and now - _aware(record.update_timestamp) > LONGEST_RUN:
            continue
        keys.update(_partitions_of(run, instance))
    return keys


def failed_nights(instance: DagsterInstance, now: datetime) -> Counter[str]:
    """In how many ticks' runs a partition failed within `TRIED` before `now`; a run and its retries are one night.

    Runs that ended because a server was down, or a budget was spent, say nothing about their partitions.
    """
    nights: defaultdict[str, set[str]] = defaultdict(set)
    failed = RunsFilter(
        statuses=[DagsterRunStatus.FAILURE], tags={"dagster/schedule_name": NIGHTLY}, updated_after=now - TRIED
    )
    for run in instance.get_runs(failed):
        if OUTAGE_TAG not in run.tags:
            for key in _partitions_of(run, instance):
                nights[key].add(run.tags.get(TICK_TAG, run.run_id))
    return Counter({key: len(ticks) for key, ticks in nights.items()})


def _partitions_of(run: DagsterRun, instance: DagsterInstance) -> set[str]:
    """Keys of the partitions that a run is for; none where it is for something else."""
    single, start, end = (run.tags.get(name, "") for name in ("dagster/partition", RANGE_START, RANGE_END))
    if _is_dialogue_partition(single):
        return {single}
    if _is_dialogue_partition(start) and _is_dialogue_partition(end):
        return set(_keys_between(start, end, instance))
    return set()


def _is_dialogue_partition(key: str) -> bool:
    """Whether a partition's key is a partition's: other assets have keys of two parts too."""
    scenario, joined, _ = key.partition("|")
    return bool(joined) and scenario in {scenario.value for scenario in Scenario}


def _keys_between(start: str, end: str, instance: DagsterInstance) -> Sequence[str]:
    if not {start, end} <= set(dialogue_partitions.get_partition_keys(dynamic_partitions_store=instance)):
        return []  # its shard is gone from the lake, and such a run makes nothing
    return dialogue_partitions.get_partition_keys_in_range(
        PartitionKeyRange(start, end), dynamic_partitions_store=instance
    )


def _request(batch: Batch, tick: datetime) -> RunRequest:
    first, last = batch.keys[0], batch.keys[-1]
    key, tags = f"{tick.isoformat()} {_named(batch)}", {DUE_TAG: batch.why}
    if first == last:
        return RunRequest(key, partition_key=first, tags=tags)
    return RunRequest(key, tags={**tags, PARTITIONS_TAG: _named(batch), RANGE_START: first, RANGE_END: last})


def _own_tags(run: DagsterRun) -> Mapping[str, str]:
    names = (DUE_TAG, PARTITIONS_TAG, "dagster/partition", RANGE_START, RANGE_END)
    return {name: run.tags[name] for name in names if name in run.tags}


def _named(batch: Batch) -> str:
    return batch.keys[0] if len(batch.keys) == 1 else f"{batch.keys[0]} ... {batch.keys[-1]}"


def _aware(stored: datetime) -> datetime:
    """The run storage keeps UTC; SQLite forgets to say so."""
    return stored if stored.tzinfo else stored.replace(tzinfo=UTC)
