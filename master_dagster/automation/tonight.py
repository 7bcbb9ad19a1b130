"""What a night would do over the whole graph: one row per step, with its reason, its prices and what launches it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from dagster import DagsterInstance, RunRequest
from dagster._core.scheduler.instigation import InstigatorStatus

from assets.dialogues.estimate import measured_averages
from assets.framework.currency import NotCurrent
from assets.framework.partition_run import shown_keys
from assets.quality.estimate import estimate_due
from assets.quality.partition_status import PartitionStatus
from master_dagster.automation.checkpoints import SCORING_SENSOR, TRAINING_SENSOR, Due, plan_scoring, plan_training
from master_dagster.automation.due import SKIPPED
from master_dagster.automation.nightly import NIGHTLY, NightlyPlan, plan_partitions
from master_dagster.automation.releases import RELEASE_SENSOR, new_since_release, release_request
from master_dagster.automation.sources import SOURCES_SENSOR, source_changes, unplanned_shards
from master_dagster.deployment import Deployment
from resources.lake.tables import Lake

REASONS: dict[NotCurrent, str] = {
    "missing": "not made yet",
    "failed": "a gate failed",
    "stale": "plans, models, prompts or rules changed",
}


def _column(description: str, default: Any = None) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True, slots=True)
class NightStep:
    """One step of a night. None: not known, or nothing."""

    stage: str = _column("seeds, plans, dialogues, scores, release, training or evaluation.")
    what: str = _column("Source, shards, partitions, or base model and variant.")
    why: str = _column("Why it is due, or why it is skipped.")
    launched_by: str | None = _column("Schedule or sensor that launches it; null where it is skipped.")
    on: bool | None = _column("Whether that schedule or sensor is on.")
    dialogues: int | None = _column("Dialogues to generate or to judge.")
    calls: int | None = _column("Calls of models.")
    live_cost: float | None = _column("US dollars where every call is live.")
    batch_cost: float | None = _column("US dollars where every call goes in batches.")
    minutes: float | None = _column("Of the live calls. Numbers of training and evaluation are those of the last time.")
    partitions: tuple[str, ...] = _column("Partition keys.", ())


COLUMNS = {one.name: str(one.metadata["description"]) for one in fields(NightStep)}


@dataclass(frozen=True, slots=True)
class Tonight:
    """Everything that a night would do, and the plan by which the schedule does it."""

    steps: Sequence[NightStep]
    plan: NightlyPlan

    def as_json(self) -> dict[str, Any]:
        """The steps and the sums of what is launched, as plain data."""
        return {"steps": [asdict(step) for step in self.steps], **self.totals}

    @property
    def totals(self) -> dict[str, float]:
        """Sums of dialogues, calls and US dollars over the steps that are not skipped."""
        launched = [step for step in self.steps if step.launched_by]
        names = ("dialogues", "calls", "live_cost", "batch_cost")
        return {name: sum(getattr(step, name) or 0 for step in launched) for name in names}


def tonight_now(deployment: Deployment, lake: Lake, instance: DagsterInstance) -> Tonight:
    """As `tonight`, with what the schedule would launch at this moment."""
    return tonight(deployment, lake, instance, plan_partitions(deployment, lake, instance, datetime.now(UTC)))


def tonight(deployment: Deployment, lake: Lake, instance: DagsterInstance, plan: NightlyPlan) -> Tonight:
    """What the schedules and sensors would launch.

    Lists the sources and reads the lake. Writes nothing, and calls no model.

    Args:
        deployment: its settings.
        lake: where everything is read.
        instance: whose runs, schedules and sensors count.
        plan: what the nightly schedule launches.
    """
    switched_on = running_automations(instance)
    steps = [
        *_seed_steps(deployment, lake, switched_on),
        *_partition_steps(deployment, lake, plan, switched_on),
        *_release_steps(deployment, lake, instance, plan, switched_on),
        *_checkpoint_steps("training", plan_training(deployment, lake, instance), TRAINING_SENSOR, switched_on),
        *_checkpoint_steps("evaluation", plan_scoring(deployment, lake, instance), SCORING_SENSOR, switched_on),
    ]
    return Tonight(steps, plan)


def running_automations(instance: DagsterInstance) -> set[str]:
    """The names of the schedules and sensors that were switched on in this instance."""
    if instance.schedule_storage is None:  # of an instance in memory
        return set()
    on = {InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE}
    return {state.instigator_name for state in instance.all_instigator_state(instigator_statuses=on)}


def _seed_steps(deployment: Deployment, lake: Lake, switched_on: set[str]) -> Iterator[NightStep]:
    on = SOURCES_SENSOR in switched_on
    for change in source_changes(lake, deployment.seeds):
        if change.problem:
            yield NightStep("seeds", change.source, change.problem)
        elif change.why:
            yield NightStep("seeds", change.source, change.why, SOURCES_SENSOR, on, partitions=(change.source,))
    for shards in unplanned_shards(lake, deployment.seeds).values():
        yield NightStep("plans", shown_keys(shards), "not planned yet", SOURCES_SENSOR, on, partitions=tuple(shards))


def _partition_steps(
    deployment: Deployment, lake: Lake, plan: NightlyPlan, switched_on: set[str]
) -> Iterator[NightStep]:
    """One step per run and kind of work, then one per kind of skipped partition."""
    averages = measured_averages(lake, deployment.profile)

    def step(due: Sequence[PartitionStatus], stage: str, why: str, launched: bool) -> NightStep:
        rules = deployment.quality_rules
        takes = estimate_due(lake, due, deployment.scenarios, deployment.profile, rules, averages)
        judged = sum(one.dialogues.rows for one in due if one.scores_only and one.dialogues)
        return NightStep(
            stage,
            shown_keys([one.key for one in due]),
            why,
            NIGHTLY if launched else None,
            NIGHTLY in switched_on if launched else None,
            takes.dialogues + judged,
            takes.calls,
            takes.live_cost,
            takes.batch_cost,
            60 * takes.hours,
            tuple(one.key for one in due),
        )

    for run in plan.runs:
        for stage, scores_only in (("dialogues", False), ("scores", True)):
            if due := [one for one in run.partitions if one.scores_only is scores_only]:
                why = ", ".join(REASONS[reason] for reason in dict.fromkeys(one.why for one in due) if reason)
                yield step(due, stage, why, launched=True)
    for reason, some in plan.choice.skipped.items():
        if some:
            yield step(some, "dialogues", SKIPPED[reason], launched=False)


def _release_steps(
    deployment: Deployment, lake: Lake, instance: DagsterInstance, plan: NightlyPlan, switched_on: set[str]
) -> Iterator[NightStep]:
    """The release that the sensor launches now, or once the night's partitions are made."""
    after, on = deployment.settings.release_after, RELEASE_SENSOR in switched_on
    new, latest = new_since_release(lake, plan.statuses)
    chosen = len(plan.choice.chosen)
    if chosen:
        launches = len(new) + chosen >= after
        why = f"{len(new)} partitions are new since {latest}, and tonight adds up to {chosen}; a release needs {after}"
    else:
        found = release_request(deployment, lake, instance, plan.statuses)
        launches = isinstance(found, RunRequest)
        why = f"{len(new)} partitions are new since {latest}" if launches else str(getattr(found, "skip_message", ""))
    if new or chosen:
        yield NightStep("release", "boost_qa", why, RELEASE_SENSOR if launches else None, on if launches else None)


def _checkpoint_steps(stage: str, due: Sequence[Due], launcher: str, switched_on: set[str]) -> Iterator[NightStep]:
    for one in due:
        by, on = (launcher, launcher in switched_on) if one.request else (None, None)
        cost = one.cost
        yield NightStep(stage, one.key, one.why, by, on, None, one.calls, cost, cost, one.minutes, (one.key,))


def shown_rows(night: Tonight) -> list[dict[str, str]]:
    """The steps as a table for people, for the UI and the command."""

    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return [
        {
            "stage": step.stage,
            "what": step.what,
            "why": step.why,
            "launched by": _launcher(step),
            "dialogues": number(step.dialogues, ","),
            "calls": number(step.calls, ","),
            "$ live": number(step.live_cost, ",.2f"),
            "$ in batches": number(step.batch_cost, ",.2f"),
            "minutes": number(step.minutes, ",.0f"),
        }
        for step in night.steps
    ]


def _launcher(step: NightStep) -> str:
    if step.launched_by is None:
        return "nothing"
    return f"{step.launched_by} ({'on' if step.on else 'off'})"
