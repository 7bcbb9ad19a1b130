"""The sensors that train due checkpoints and score them, and the plans by which they do it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.boost_qa.release import RELEASES, Release
from assets.checkpoints.checkpoint import (
    CHECKPOINTS,
    Checkpoint,
    CheckpointError,
    default_variants,
    planned_specification,
    refuse_misfits,
    untuned_id,
    what_changed,
)
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partitions import PARTITION_TAG, UNTUNED
from assets.framework.run_report import OUTAGE_TAG
from assets.framework.usage_metadata import paid
from assets.training_programs.recipe import BaseModel
from assets.training_programs.specification import HOME
from master_dagster.automation.due import SKIPPED
from master_dagster.automation.nightly import DUE_TAG, keys_of, launched_before, limit_pool, runs_in_progress
from master_dagster.deployment import Deployment
from master_dagster.jobs import score_checkpoints, train_checkpoints
from resources.identity import stable_hash
from resources.lake.tables import Lake
from resources.training_jobs.backend import BackendError

TRAINING_SENSOR = "train_due_checkpoints"
SCORING_SENSOR = "score_due_checkpoints"
AFTER_OUTAGE = timedelta(days=1)  # a run that ended by an outage or a spent budget is launched again


@dataclass(frozen=True, slots=True)
class Due:
    """A checkpoint that is to be trained or scored."""

    key: str  # of the partition: base model and variant
    why: str
    identity: str | None = None  # of the checkpoint; None: it cannot be made, and `why` says so
    minutes: float | None = None  # these three are of the last time; None: not known
    calls: int | None = None
    cost: float | None = None  # US dollars
    request: RunRequest | None = None  # of the run that makes it; None: nothing launches it, and `why` says so


Plan = Callable[[Deployment, Lake, DagsterInstance], list[Due]]


def checkpoint_sensors(deployment: Deployment) -> list[SensorDefinition]:
    """The sensors for training and for scoring. Both are off by default."""
    return [
        _sensor(
            deployment,
            TRAINING_SENSOR,
            train_checkpoints,
            "training",
            plan_training,
            "Launches a run for each checkpoint of the latest release that is missing, or that the training "
            "configuration would make in another way now.",
        ),
        _sensor(
            deployment,
            SCORING_SENSOR,
            score_checkpoints,
            "models",
            plan_scoring,
            "Launches a run for each checkpoint whose scores are missing, failed their gate, or are those of an "
            "earlier checkpoint.",
        ),
    ]


def _sensor(
    deployment: Deployment, name: str, job: UnresolvedAssetJobDefinition, pool: str, plan: Plan, description: str
) -> SensorDefinition:
    @sensor(
        name=name,
        job=job,
        minimum_interval_seconds=600,
        default_status=DefaultSensorStatus.STOPPED,
        description=f"{description} A run that failed is not launched again for the same checkpoint, but for one that "
        "ended by an outage or a spent budget, a day later.",
    )
    def launch_due(context: SensorEvaluationContext, lake: ResourceParam[Lake]) -> list[RunRequest] | SkipReason:
        limit_pool(context.instance, pool)
        due = plan(deployment, lake, context.instance)
        skipped = [f"{one.key}: {one.why}" for one in due if one.request is None]
        for line in skipped:
            context.log.info(line)
        return [one.request for one in due if one.request] or SkipReason("; ".join(skipped) or "no checkpoint is due")

    return launch_due


def plan_training(deployment: Deployment, lake: Lake, instance: DagsterInstance) -> list[Due]:
    """The checkpoints of the latest release that are due, with their runs. Writes nothing."""
    if (release := RELEASES.find_latest(lake)) is None:
        return []
    return _with_requests(_due_training(deployment, lake, release), train_checkpoints.name, HOME, deployment, instance)


def plan_scoring(deployment: Deployment, lake: Lake, instance: DagsterInstance) -> list[Due]:
    """The checkpoints whose scores are due, with their runs. Writes nothing, and reads no benchmark."""
    asset = BENCHMARK_SCORES.name
    return _with_requests(_due_scoring(deployment, lake), score_checkpoints.name, asset, deployment, instance)


def _due_training(deployment: Deployment, lake: Lake, release: Release) -> Iterator[Due]:
    backend, detached = deployment.trainer.backend, deployment.trainer.timeouts.detached
    image = cache(lambda: backend.open(lake.store, detached).image)
    for base, variant, made in _checkpoints(deployment, lake):
        key = f"{base.name}|{variant}"
        if variant == UNTUNED:
            identity, changed = untuned_id(base), "base model changed"
        else:
            try:
                refuse_misfits(deployment.training.recipe_of(base.name, variant), backend)
                planned = planned_specification(lake, release, deployment.training, base, variant, image())
            except (CheckpointError, BackendError) as error:
                yield Due(key, str(error))
                continue
            identity, changed = planned.id, what_changed(made, planned) if made else ""
        if made is None or made.id != identity:
            minutes = made.results["seconds"] / 60 if made and made.results else None
            price = deployment.trainer.usd_per_hour
            cost = price * minutes / 60 if price and minutes else None
            yield Due(key, changed if made else "no checkpoint yet", identity, minutes, cost=cost)


def _due_scoring(deployment: Deployment, lake: Lake) -> Iterator[Due]:
    for base, variant, checkpoint in _checkpoints(deployment, lake):
        keys = {"base": base.name, "variant": variant}
        if checkpoint is None:
            continue
        scores = lake.record(BENCHMARK_SCORES, keys)
        facts = lake.facts(BENCHMARK_SCORES, keys) if scores else {}
        if scores is None:
            why = "not scored yet"
        elif scores.gate == "failed":
            why = "a gate failed"
        elif facts["checkpoint"] != checkpoint.id:
            why = "the checkpoint is newer"
        else:
            continue
        usage = facts.get("usage", {}).values()
        calls = sum(one["calls"] + one["replayed"] for one in usage) or None
        cost = sum(paid(one, "cost") for one in usage) if usage else None
        yield Due(f"{base.name}|{variant}", why, checkpoint.id, calls=calls, cost=cost)


def _checkpoints(deployment: Deployment, lake: Lake) -> Iterator[tuple[BaseModel, str, Checkpoint | None]]:
    """Each base model with each variant that a night makes of it, and its latest checkpoint."""
    training = deployment.training
    for configured in training.bases:
        for variant in (UNTUNED, *default_variants(training)):
            yield training.base(configured.name), variant, CHECKPOINTS.find_latest(lake, configured.name, variant)


def _with_requests(
    due: Iterable[Due], job: str, asset: str, deployment: Deployment, instance: DagsterInstance
) -> list[Due]:
    """These with the runs that make them, and the reason of those that are in progress or were launched before."""
    partitions, now = deployment.tunings(), datetime.now(UTC)
    in_progress = {
        key
        for run in runs_in_progress(instance, now)
        if run.job_name == job or AssetKey(asset) in (run.asset_selection or ())
        for key in keys_of(run, partitions, instance)
    }

    def with_request(one: Due) -> Due:
        if one.identity is None:
            return one
        if one.key in in_progress:
            return replace(one, why=SKIPPED["in progress"])
        run_key = stable_hash(job, one.key, one.identity, one.why, _outages(instance, job, one.key, now))
        if before := launched_before(instance, run_key, "checkpoint", job):
            return replace(one, why=f"{one.why}, but {before}")
        return replace(one, request=RunRequest(run_key, tags={PARTITION_TAG: one.key, DUE_TAG: one.why}))

    return [with_request(one) for one in due]


def _outages(instance: DagsterInstance, job: str, key: str, now: datetime) -> int:
    """How many runs of a partition ended by an outage or a spent budget, at least `AFTER_OUTAGE` ago."""
    failed = RunsFilter(
        job_name=job, statuses=[DagsterRunStatus.FAILURE], tags={PARTITION_TAG: key}, updated_before=now - AFTER_OUTAGE
    )
    return sum(OUTAGE_TAG in run.tags for run in instance.get_runs(failed))
