"""The sensor that continues partitions whose batches ended."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from assets.framework.partitions import SHARDS
from assets.framework.run_report import WAITING_TAG, WAITS_FOR_BATCHES
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.partition_status import PartitionStatus, partition_statuses
from assets.seeds.mirror import mirror_shards
from master_dagster.automation.due import NO_EXPENSE, Candidate, PlannedRun, plan_runs
from master_dagster.automation.nightly import RECENT, partitions_in_progress, partitions_of, run_request
from master_dagster.deployment import Deployment
from master_dagster.jobs import dialogues_and_scores
from resources.chat.batches.collection import collect_ended, delete_files, ended_batches
from resources.chat.batches.ledger import Ledger, all_ledgers
from resources.identity import stable_hash
from resources.lake.tables import Lake


def batches_sensor(deployment: Deployment) -> SensorDefinition:
    """Launches the next run of partitions whose batches ended.

    It is on by default where a role of the profile is played in batches.
    """
    profile, scenarios = deployment.profile, deployment.scenarios
    in_batches = any(role.mode == "batch" for role in profile.roles.values())

    @sensor(
        name="continue_after_batches",
        job=dialogues_and_scores,
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING if in_batches else DefaultSensorStatus.STOPPED,
        description="Launches partitions whose provider batches ended: the run collects the answers, goes on with the "
        "dialogues and submits their next turns. On by default where a role of the profile has `mode: batch`.",
    )
    def continue_after_batches(
        context: SensorEvaluationContext, lake: ResourceParam[Lake]
    ) -> list[RunRequest] | SkipReason:
        instance, now = context.instance, datetime.now(UTC)
        ledgers = all_ledgers(lake.store)
        delete_files(profile, lake.store, ledgers)  # those that no collection could delete
        ended, failures = ended_batches(profile, ledgers)
        waiting = {ledger.partition for ledger in ledgers if any(one.mark not in ended for one in ledger.open)}
        left = waiting | partitions_in_progress(instance, scenarios, now)
        keys = {ledger.partition for ledger in ledgers} | partitions_that_waited(instance, scenarios, now)
        statuses = partition_statuses(lake, deployment.expected())
        due = [one for one in statuses if one.why and one.key in keys - left]
        going_on = left | {one.key for one in due}
        others = [ledger for ledger in ledgers if ledger.open and ledger.partition not in going_on]
        failures += collect_ended(profile, lake.store, others, ended)  # of partitions that other calls made meanwhile
        for failure in failures:
            context.log.warning(str(failure))
        if not due:
            return SkipReason(
                "; ".join([f"{len(waiting)} partitions wait for batches", *map(str, failures), "none can go on"])
            )
        mirror_shards(lake, instance)
        chosen = [Candidate(one, NO_EXPENSE, alone=False) for one in due]
        runs = plan_runs(chosen, instance.get_dynamic_partitions(SHARDS), deployment.settings.nightly_range)
        return [run_request(run, run_key(run, ledgers)) for run in runs]

    return continue_after_batches


def run_key(run: PlannedRun, ledgers: Sequence[Ledger]) -> str:
    """The same for the same partitions in the same state, so that a run that failed is not launched again and again.

    Where requests wait for room in a queue, the batches in it are part of the state.
    """
    mine = [ledger for ledger in ledgers if ledger.partition in run.keys]
    counted = ledgers if any(ledger.postponed for ledger in mine) else mine
    marks = sorted(batch.mark for ledger in counted for batch in ledger.open)
    return stable_hash("continue after batches", [_state(one) for one in run.partitions], marks)


def _state(one: PartitionStatus) -> list[object]:
    return [one.key, one.why, one.scores_only, one.dialogues.content if one.dialogues else None]


def partitions_that_waited(instance: DagsterInstance, scenarios: Scenarios, now: datetime) -> set[str]:
    """Keys of the recent runs in which some partition waited: they made no scores of the others either."""
    runs = instance.get_runs(RunsFilter(tags={WAITING_TAG: WAITS_FOR_BATCHES}, updated_after=now - RECENT))
    return {key for run in runs for key in partitions_of(run, instance, scenarios)}
