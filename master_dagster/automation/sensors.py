"""The sensors: failed and dead runs, the shards of the lake, and backfills of missing partitions."""

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
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from assets.framework.partition_run import shown_keys
from assets.seeds.mirror import mirror_shards
from master_dagster.automation.failures import error_of, failure_message, post_alert
from master_dagster.automation.nightly import DUE_TAG
from master_dagster.jobs import mirror_lake
from master_dagster.maintenance.dead_runs import end_dead_runs
from resources.lake.tables import Lake


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
        message = failure_message(run, steps, context.failure_event)
        context.log.error(message)
        if webhook and (error := post_alert(webhook, message)):
            context.log.warning(f"the report could not be posted to MASTER_ALERT_WEBHOOK: {error}")
        if steps or error_of(context.failure_event) or run.job_name == mirror_lake.name:
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
