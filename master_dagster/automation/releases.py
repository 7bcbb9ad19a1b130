"""The sensor that makes a release once enough partitions are new."""

from collections.abc import Iterable, Sequence
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

from assets.boost_qa.release import RELEASES
from assets.framework.partitions import FREE_VARIANTS, partition_tags
from assets.quality.partition_status import PartitionStatus, partition_statuses
from master_dagster.automation.nightly import DUE_TAG, IN_PROGRESS, launched_before, partitions_in_progress
from master_dagster.deployment import Deployment
from master_dagster.jobs import publish, release
from resources.identity import stable_hash
from resources.lake.tables import Lake

RELEASE_SENSOR = "release_when_enough"


def release_sensor(deployment: Deployment) -> SensorDefinition:
    """Launches `release` when at least `MASTER_RELEASE_AFTER` current partitions are not in the latest release.

    It counts partitions, which one listing of the lake's index shows; the number of accepted dialogues of a partition
    is in its file.
    """

    @sensor(
        name=RELEASE_SENSOR,
        job=release,
        minimum_interval_seconds=600,
        default_status=DefaultSensorStatus.STOPPED,
        description=f"Launches the job `release` when {deployment.settings.release_after} partitions are new "
        "and no partition is in progress.",
    )
    def release_when_enough(context: SensorEvaluationContext, lake: ResourceParam[Lake]) -> RunRequest | SkipReason:
        return release_request(deployment, lake, context.instance, partition_statuses(lake, deployment.expected()))

    return release_when_enough


def release_request(
    deployment: Deployment, lake: Lake, instance: DagsterInstance, statuses: Sequence[PartitionStatus]
) -> RunRequest | SkipReason:
    """The run that makes a release now, or why there is none; `statuses` are those of every planned partition."""
    after = deployment.settings.release_after
    if in_progress := partitions_in_progress(instance, deployment.scenarios, datetime.now(UTC)):
        return SkipReason(f"{len(in_progress)} partitions are in progress; a release waits for them")
    for job in (release.name, publish.name):
        if runs := instance.get_runs(RunsFilter(job_name=job, statuses=IN_PROGRESS), limit=1):
            return SkipReason(f"run {runs[0].run_id} makes a release")
    new, latest = new_since_release(lake, statuses)
    if len(new) < after:
        return SkipReason(f"{len(new)} partitions are new since {latest}; a release needs {after}")
    key = stable_hash(
        "release", sorted((one.key, one.scored.fingerprint) for one in statuses if one.scored and one.why is None)
    )
    if before := launched_before(instance, key, "partitions", release.name):
        return SkipReason(f"{len(new)} partitions are new since {latest}, but {before}")
    why = f"{len(new)} new partitions since {latest}"
    return RunRequest(key, tags={DUE_TAG: why, **partition_tags(FREE_VARIANTS)})


def new_since_release(lake: Lake, statuses: Iterable[PartitionStatus]) -> tuple[list[PartitionStatus], str]:
    """The current partitions that the latest release does not have, and that release's folder."""
    current = [status for status in statuses if status.why is None]
    newest = RELEASES.find_latest(lake)
    if newest is None:
        return current, "the beginning, as there is no release"
    taken = {(row["partition"], row["scores"]) for row in newest.manifest["lineage"]}
    return [one for one in current if one.scored and (one.key, one.scored.fingerprint) not in taken], newest.folder
