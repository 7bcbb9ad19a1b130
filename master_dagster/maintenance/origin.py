"""The origin of runs that the command line starts in its own process.

Dagster gives an origin only to runs that the UI or the daemon launches. The UI leaves runs without one out of its first
screen, the timeline, and out of the pages of jobs.
"""

from dagster import DagsterInstance
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

MODULE, LOCATION = "master_dagster.definitions", "master_dagster"  # as pyproject.toml and workspace.yaml name them


def add_origin(instance: DagsterInstance, run_id: str) -> None:
    """Name this code location as the origin of a run that has none, as `dagster run migrate-repository` does."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.remote_job_origin is not None:
        return
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=MODULE), LOCATION)
    repository = RemoteRepositoryOrigin(location, "__repository__")
    labels = {".dagster/repository": repository.get_label(), "dagster/code_location": LOCATION}
    instance.add_run_tags(run_id, labels)
    instance.run_storage.replace_job_origin(
        run.with_tags({**run.tags, **labels}), repository.get_job_origin(run.job_name)
    )
