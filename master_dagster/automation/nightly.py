"""What the nightly schedule launches, which runs are in progress, and which partitions failed on earlier nights."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    MultiPartitionsDefinition,
    PartitionKeyRange,
    RunRequest,
    RunsFilter,
)

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogues.estimate import measured_averages
from assets.framework.partitions import PARTITION_TAG, RANGE_END, RANGE_START, dialogue_partitions, partition_tags
from assets.framework.run_report import OUTAGE_TAG
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.configuration import QualityRules
from assets.quality.estimate import dialogue_expenses
from assets.quality.partition_status import PartitionStatus, partition_statuses
from assets.seeds.mirror import mirrored_shards
from master_dagster.automation.due import Averages, NightlyChoice, PlannedRun, choose_partitions, plan_runs
from master_dagster.deployment import Deployment
from master_dagster.maintenance.dead_runs import as_utc, find_dead_runs
from resources.chat.batches.ledger import all_ledgers
from resources.chat.profile import Profile
from resources.lake.tables import Lake

NIGHTLY = "nightly_partitions"
DUE_TAG = "master/due"
PARTITIONS_TAG = "master/partitions"  # the UI's list of runs shows the partition of a run, but no range
TICK_TAG = "dagster/scheduled_execution_time"
IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
# A run that was killed on another machine stays STARTED for ever (`dead_runs` ends those of this machine). A run's
# record is updated when its status changes, so a run this old may still be alive: two runs then make its partitions,
# and the later one pays only for answers that the journal does not hold.
LONGEST_RUN = timedelta(hours=24)
LONGEST_BATCH = timedelta(hours=25)
RECENT = timedelta(days=7)  # older failures do not count


@dataclass(frozen=True, slots=True)
class NightlyPlan:
    """What a tick launches and skips, and the status of every planned partition."""

    statuses: Sequence[PartitionStatus]
    choice: NightlyChoice
    runs: Sequence[PlannedRun]


def plan_partitions(deployment: Deployment, lake: Lake, instance: DagsterInstance, now: datetime) -> NightlyPlan:
    """What the nightly schedule launches now. Writes nothing."""
    profile, scenarios, rules = deployment.profile, deployment.scenarios, deployment.quality_rules
    limits = deployment.settings.nightly_limits
    statuses = partition_statuses(lake, deployment.expected())
    choice = choose_partitions(
        statuses,
        partitions_in_progress(instance, scenarios, now) | partitions_awaiting_batches(lake, now),
        failed_nights(instance, scenarios, now),
        recent_averages(lake, profile, scenarios, deployment.plan_rules, rules) if limits.need_expenses else None,
        limits,
    )
    shards = mirrored_shards(lake, instance)
    return NightlyPlan(statuses, choice, plan_runs(choice.chosen, shards, deployment.settings.nightly_range))


def recent_averages(
    lake: Lake, profile: Profile, scenarios: Scenarios, rules: PlanRules, quality: QualityRules
) -> Averages:
    """The expenses of recent dialogues with this profile's models, and the scenarios' shares by the rules."""
    dialogue, verdict = dialogue_expenses(profile, scenarios, rules, quality.judge, measured_averages(lake, profile))
    return Averages(dialogue, verdict, rules.scenario_shares(scenarios))


def runs_of_tick(instance: DagsterInstance, tick: datetime) -> Sequence[DagsterRun]:
    """The runs that an earlier evaluation of this tick launched, before it was interrupted."""
    at = tick.astimezone(UTC).isoformat()
    return instance.get_runs(RunsFilter(tags={"dagster/schedule_name": NIGHTLY, TICK_TAG: at}))


def partitions_in_progress(instance: DagsterInstance, scenarios: Scenarios, now: datetime) -> set[str]:
    """Keys of the partitions of dialogues that `runs_in_progress` make, single partitions and ranges."""
    return {key for run in runs_in_progress(instance, now) for key in partitions_of(run, instance, scenarios)}


def runs_in_progress(instance: DagsterInstance, now: datetime) -> Iterator[DagsterRun]:
    """Queued and running runs.

    A run that started more than `LONGEST_RUN` before `now`, with no change since, counts as dead. So does one whose
    last change is as far in the future: a clock was wrong. So does one whose process is gone.
    """
    dead = {run.run_id for run in find_dead_runs(instance, now)}
    for record in instance.get_run_records(RunsFilter(statuses=IN_PROGRESS)):
        run = record.dagster_run
        if run.run_id in dead:
            continue
        if run.status is not DagsterRunStatus.STARTED or abs(now - as_utc(record.update_timestamp)) <= LONGEST_RUN:
            yield run


def partitions_awaiting_batches(lake: Lake, now: datetime) -> set[str]:
    """Keys of the partitions with batches that may still be under way at their provider, which is not asked."""
    return {
        ledger.partition
        for ledger in all_ledgers(lake.store)
        if any(now - batch.submitted_at < LONGEST_BATCH for batch in ledger.open)
    }


def failed_nights(instance: DagsterInstance, scenarios: Scenarios, now: datetime) -> Counter[str]:
    """In how many ticks' runs a partition failed within `RECENT` before `now`; a run and its retries are one night.

    Runs that ended because a server was unreachable, or a budget was spent, do not count against their partitions.
    """
    nights: defaultdict[str, set[str]] = defaultdict(set)
    failed = RunsFilter(
        statuses=[DagsterRunStatus.FAILURE], tags={"dagster/schedule_name": NIGHTLY}, updated_after=now - RECENT
    )
    for run in instance.get_runs(failed):
        if OUTAGE_TAG not in run.tags:
            for key in partitions_of(run, instance, scenarios):
                nights[key].add(run.tags.get(TICK_TAG, run.run_id))
    return Counter({key: len(ticks) for key, ticks in nights.items()})


def partitions_of(run: DagsterRun, instance: DagsterInstance, scenarios: Scenarios) -> set[str]:
    """Keys of the partitions of dialogues that a run makes; none where it makes something else.

    A range whose shards are no longer in the lake has none: such a run makes nothing.
    """
    single, start, end = (run.tags.get(name, "") for name in (PARTITION_TAG, RANGE_START, RANGE_END))
    if _is_dialogue_partition(single, scenarios):
        return {single}
    if not (_is_dialogue_partition(start, scenarios) and _is_dialogue_partition(end, scenarios)):
        return set()
    return keys_of(run, dialogue_partitions(scenarios), instance)


def keys_of(run: DagsterRun, partitions: MultiPartitionsDefinition, instance: DagsterInstance) -> set[str]:
    """The keys of a run over a single partition or a range of these; none where an end is not one of them."""
    start, end = (run.tags.get(PARTITION_TAG, run.tags.get(name, "")) for name in (RANGE_START, RANGE_END))
    if not {start, end} <= set(partitions.get_partition_keys(dynamic_partitions_store=instance)):
        return set()
    return set(partitions.get_partition_keys_in_range(PartitionKeyRange(start, end), dynamic_partitions_store=instance))


def limit_pool(instance: DagsterInstance, pool: str) -> None:
    """Make a pool known to the queue before several of its runs are launched at once.

    The queue learns of a pool when it first launches one of its runs, and does not limit the runs beside that one.
    """
    instance.event_log_storage.initialize_concurrency_limit_to_default(pool)


def launched_before(instance: DagsterInstance, run_key: str, what: str, job: str) -> str | None:
    """Why a run is not launched again: one with its run key was, for the same `what`. None where there was none."""
    if not (found := instance.get_runs(RunsFilter(tags={"dagster/run_key": run_key}), limit=1)):
        return None
    return (
        f"run {found[0].run_id} was launched for the same {what} and its status is {found[0].status.value.lower()}: "
        f"fix what it reports, then launch the job `{job}` by hand"
    )


def _is_dialogue_partition(key: str, scenarios: Scenarios) -> bool:
    """Whether a key is one of a partition of dialogues: other assets have keys of two parts too."""
    scenario, separator, _ = key.partition("|")
    return bool(separator) and scenario in scenarios


def run_request(run: PlannedRun, key: str) -> RunRequest:
    """The request for a planned run; `key` is its run key."""
    # In tags, because a sensor cannot resolve a dynamic partition's key.
    shown = {PARTITIONS_TAG: name_of(run)} if len(run.keys) > 1 else {}
    return RunRequest(key, tags={DUE_TAG: run.reasons, **shown, **partition_tags(run.keys)})


def own_tags(run: DagsterRun) -> Mapping[str, str]:
    names = (DUE_TAG, PARTITIONS_TAG, PARTITION_TAG, RANGE_START, RANGE_END)
    return {name: run.tags[name] for name in names if name in run.tags}


def name_of(run: PlannedRun) -> str:
    return run.keys[0] if len(run.keys) == 1 else f"{run.keys[0]} ... {run.keys[-1]}"
