"""The sensors: a release when enough is new, failures told, dead runs ended, and backfills of what is missing."""

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
from assets.dialogues.prompts import PromptBook
from assets.quality.configuration import QualityRules
from assets.quality.partition_status import PartitionStatus, expected_fingerprints, partition_statuses
from master_dagster.automation.failures import failure_message, post_alert
from master_dagster.automation.nightly import DUE_TAG, IN_FLIGHT, RANGE_END, RANGE_START, partitions_in_flight
from master_dagster.jobs import mirror_lake, publish, release
from master_dagster.maintenance.dead_runs import end_dead_runs
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.tables import Lake

# Training sets that ask no model. The others are there to compare with, cost money, and are made by hand.
FREE_VARIANTS = ("boost_qa", "ori")


def release_sensor(after: int) -> SensorDefinition:
    """Launches `release` when at least `after` partitions are current that the latest release was not made of.

    Partitions, not accepted dialogues, are counted: the lake's index tells them by one listing, while how many dialogues
    of a partition were accepted stands in its file.
    """

    @sensor(
        name="release_when_enough",
        job=release,
        minimum_interval_seconds=600,
        default_status=DefaultSensorStatus.STOPPED,
        description=f"When no partition is being made and {after} are new: a release, training sets boost_qa and ori.",
    )
    def release_when_enough(
        context: SensorEvaluationContext,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        prompts: ResourceParam[PromptBook],
        quality_rules: ResourceParam[QualityRules],
    ) -> RunRequest | SkipReason:
        instance = context.instance
        if making := partitions_in_flight(instance, datetime.now(UTC)):
            return SkipReason(f"{len(making)} partitions are being made; a release waits for them")
        for job in (release.name, publish.name):
            if runs := instance.get_runs(RunsFilter(job_name=job, statuses=IN_FLIGHT), limit=1):
                return SkipReason(f"a release is being made in run {runs[0].run_id}")
        statuses = partition_statuses(lake, expected_fingerprints(chat.profile, prompts, quality_rules))
        current = [status for status in statuses if status.why is None]
        new, latest = _new_since_release(lake, current)
        if len(new) < after:
            return SkipReason(f"{len(new)} partitions are new since {latest}; a release is made of {after} or more")
        key = stable_hash("release", sorted((one.key, one.scored.fingerprint) for one in current if one.scored))
        told = RunsFilter(tags={"dagster/run_key": key})
        if launched := instance.get_runs(told, limit=1):
            return SkipReason(
                f"{len(new)} partitions are new since {latest}, but run {launched[0].run_id} was launched for these very "
                f"partitions and is {launched[0].status.value.lower()}: mend what it says, then launch the job "
                f"`{release.name}` by hand"
            )
        why = f"{len(new)} new partitions since {latest}"
        context.log.info(why)
        return RunRequest(key, tags={DUE_TAG: why, RANGE_START: FREE_VARIANTS[0], RANGE_END: FREE_VARIANTS[-1]})

    return release_when_enough


def _new_since_release(lake: Lake, current: Iterable[PartitionStatus]) -> tuple[list[PartitionStatus], str]:
    newest = RELEASES.find_latest(lake)
    if newest is None:
        return list(current), "the beginning, for there is no release"
    taken = {(row["partition"], row["scores"]) for row in newest.manifest["lineage"]}
    return [one for one in current if one.scored and (one.key, one.scored.fingerprint) not in taken], newest.folder


def failure_sensor(webhook: str | None) -> SensorDefinition:
    """Tells of every failed run, of the command line's too; mirrors the lake after one that was killed."""

    @run_failure_sensor(
        name="tell_failures",
        monitor_all_code_locations=True,  # runs of the command line belong to none
        request_job=mirror_lake,
        default_status=DefaultSensorStatus.RUNNING,
        description="Says why a run failed and what to do, here and to MASTER_ALERT_WEBHOOK. A run that was killed "
        "could not say what it had written: the job mirror_lake then does.",
    )
    def tell_failures(context: RunFailureSensorContext) -> RunRequest | SkipReason:
        run, steps = context.dagster_run, context.get_step_failure_events()
        message = failure_message(run, steps, context.failure_event.message)
        context.log.error(message)
        if webhook and (fault := post_alert(webhook, message)):
            context.log.warning(f"MASTER_ALERT_WEBHOOK could not be told: {fault}")
        if steps or run.job_name == mirror_lake.name:
            return SkipReason(message)
        return RunRequest(run.run_id, tags={DUE_TAG: f"run {run.run_id} was killed"})

    return tell_failures


@sensor(
    name="end_dead_runs",
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Ends runs of this machine whose process was killed, so that the queue does not wait for them.",
)
def dead_runs(context: SensorEvaluationContext) -> SkipReason:
    """A command that is killed outright cannot tell Dagster of its end."""
    ended = end_dead_runs(context.instance)
    return SkipReason(f"ended {', '.join(ended)}" if ended else "every run that began has its process")


def backfilled_when_missing(made: AssetsDefinition, cron: str) -> AssetsDefinition:
    """An asset of the partitions with the condition under which the automation sensor fills it."""
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
    """The other way to fill gaps, for those who want Dagster's own backfills: what was never materialised, no more."""
    return AutomationConditionSensorDefinition(
        "backfill_missing_partitions",
        target=AssetSelection.assets("scenario_dialogues", "scored_dialogues"),
        default_status=DefaultSensorStatus.STOPPED,
        description="Backfills partitions that were never made, at the nightly hour, without limits and budgets. Failed "
        "and stale ones are the business of the schedule nightly_partitions: switch on one of the two.",
    )
