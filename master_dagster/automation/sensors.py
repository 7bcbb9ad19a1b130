"""The sensors: releases, failed and dead runs, the shards of the lake, and backfills of missing partitions."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from dagster import (
    AssetsDefinition,
    AssetSelection,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
    ResourceParam,
    RunFailureSensorContext,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from assets.boost_qa.release import RELEASES
from assets.framework.partition_run import shown_keys
from assets.framework.partitions import FREE_VARIANTS
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.configuration import QualityRules
from assets.quality.partition_status import PartitionStatus, expected_fingerprints, partition_statuses
from assets.seeds.mirror import mirror_shards
from master_dagster.automation.failures import failure_message, post_alert
from master_dagster.automation.nightly import DUE_TAG, IN_PROGRESS, RANGE_END, RANGE_START, partitions_in_progress
from master_dagster.jobs import mirror_lake, publish, release
from master_dagster.maintenance.dead_runs import end_dead_runs
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.tables import Lake


def release_sensor(after: int) -> SensorDefinition:
    """Launches `release` when at least `after` current partitions are not in the latest release.

    It counts partitions, which one listing of the lake's index shows; the number of accepted dialogues of a partition
    is in its file.
    """

    @sensor(
        name="release_when_enough",
        job=release,
        minimum_interval_seconds=600,
        default_status=DefaultSensorStatus.STOPPED,
        description=f"Launches the job `release` when {after} partitions are new and no partition is in progress.",
    )
    def release_when_enough(
        context: SensorEvaluationContext,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        scenarios: ResourceParam[Scenarios],
        prompts: ResourceParam[PromptBook],
        quality_rules: ResourceParam[QualityRules],
    ) -> RunRequest | SkipReason:
        instance = context.instance
        if in_progress := partitions_in_progress(instance, scenarios, datetime.now(UTC)):
            return SkipReason(f"{len(in_progress)} partitions are in progress; a release waits for them")
        for job in (release.name, publish.name):
            if runs := instance.get_runs(RunsFilter(job_name=job, statuses=IN_PROGRESS), limit=1):
                return SkipReason(f"run {runs[0].run_id} makes a release")
        statuses = partition_statuses(lake, expected_fingerprints(chat.profile, scenarios, prompts, quality_rules))
        current = [status for status in statuses if status.why is None]
        new, latest = _new_since_release(lake, current)
        if len(new) < after:
            return SkipReason(f"{len(new)} partitions are new since {latest}; a release needs {after}")
        key = stable_hash("release", sorted((one.key, one.scored.fingerprint) for one in current if one.scored))
        if launched := instance.get_runs(RunsFilter(tags={"dagster/run_key": key}), limit=1):
            return SkipReason(
                f"{len(new)} partitions are new since {latest}, but run {launched[0].run_id} was launched for the same "
                f"partitions and its status is {launched[0].status.value.lower()}: fix what it reports, then launch "
                f"the job `{release.name}` by hand"
            )
        why = f"{len(new)} new partitions since {latest}"
        context.log.info(why)
        return RunRequest(key, tags={DUE_TAG: why, RANGE_START: FREE_VARIANTS[0], RANGE_END: FREE_VARIANTS[-1]})

    return release_when_enough


def _new_since_release(lake: Lake, current: Iterable[PartitionStatus]) -> tuple[list[PartitionStatus], str]:
    newest = RELEASES.find_latest(lake)
    if newest is None:
        return list(current), "the beginning, as there is no release"
    taken = {(row["partition"], row["scores"]) for row in newest.manifest["lineage"]}
    return [one for one in current if one.scored and (one.key, one.scored.fingerprint) not in taken], newest.folder


def failure_sensor(webhook: str | None) -> SensorDefinition:
    """Reports every failed run, also of the command line; launches `mirror_lake` after a run that was killed."""

    @run_failure_sensor(
        name="report_failures",
        monitor_all_code_locations=True,  # a run of the command line belongs to none before it opens the lake
        request_job=mirror_lake,
        default_status=DefaultSensorStatus.RUNNING,
        description="Reports why a run failed and what to do, in the tick's log and to MASTER_ALERT_WEBHOOK. After a "
        "run that was killed, it launches the job mirror_lake, which records what that run had written.",
    )
    def report_failures(context: RunFailureSensorContext) -> RunRequest | SkipReason:
        run, steps = context.dagster_run, context.get_step_failure_events()
        message = failure_message(run, steps, context.failure_event.message)
        context.log.error(message)
        if webhook and (error := post_alert(webhook, message)):
            context.log.warning(f"the report could not be posted to MASTER_ALERT_WEBHOOK: {error}")
        if steps or run.job_name == mirror_lake.name:
            return SkipReason(message)
        return RunRequest(run.run_id, tags={DUE_TAG: f"run {run.run_id} was killed"})

    return report_failures


@sensor(
    name="end_dead_runs",
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Marks runs of this machine as failed when their process was killed, so that the queue continues.",
)
def dead_runs(context: SensorEvaluationContext) -> SkipReason:
    """A process that is killed cannot report its end to Dagster."""
    ended = end_dead_runs(context.instance)
    return SkipReason(f"ended {', '.join(ended)}" if ended else "every started run has its process")


@sensor(
    name="register_shards",
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Makes the shard partitions of this instance equal to the shards of the lake. A fresh instance over an "
    "existing lake knows none, and the UI then offers no partition to materialise.",
)
def register_shards(context: SensorEvaluationContext, lake: ResourceParam[Lake]) -> SkipReason:
    """Shards are dynamic partitions, which each instance keeps for itself."""
    if not (added := mirror_shards(lake, context.instance)):
        return SkipReason("the instance knows every shard of the lake")
    message = f"this instance did not know {len(added)} shards of the lake and has registered them: {shown_keys(added)}"
    context.log.warning(message)
    return SkipReason(f"{message}; launch the job {mirror_lake.name} to record what else the lake has")


def backfilled_when_missing(made: AssetsDefinition, cron: str) -> AssetsDefinition:
    """The asset with the condition under which the sensor `backfill_missing_partitions` backfills a partition."""
    ticked: AutomationCondition[Any] = AutomationCondition.cron_tick_passed(cron)
    ticked_since_handled = ticked.since_last_handled().with_label("a nightly tick passed")
    never_made = AutomationCondition.missing()
    being_made = AutomationCondition.in_progress()
    unplanned = AutomationCondition.any_deps_match(AutomationCondition.missing()).allow(
        AssetSelection.assets("dialogue_plans")
    )
    condition = ticked_since_handled & never_made & ~being_made & ~unplanned.with_label("not planned yet")
    named = condition.with_label("missing at a nightly tick")
    return made.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=named))


def backfill_sensor() -> AutomationConditionSensorDefinition:
    """Dagster's own backfills of partitions that were never materialised, as an alternative to the nightly schedule."""
    return AutomationConditionSensorDefinition(
        "backfill_missing_partitions",
        target=AssetSelection.assets("scenario_dialogues", "scored_dialogues"),
        default_status=DefaultSensorStatus.STOPPED,
        description="Backfills partitions that were never materialised, at the nightly hour, without limits or "
        "budgets. The schedule nightly_partitions also covers failed and stale partitions: switch on one of the two.",
    )
