"""The check of the service that runs training jobs, where that is not this machine."""

from collections.abc import Iterator

from master_dagster.doctor.findings import Finding, SetUp
from resources.training_jobs.backend import BackendError

NO_JOB = "master-doctor"


def check_trainer(set_up: SetUp, *, calls: bool = True) -> Iterator[Finding]:
    """Whether the service answers a question after a job that does not exist. Nothing for the backend `local`."""
    if set_up.deployment is None or set_up.lake is None:
        return
    configuration = set_up.deployment.trainer
    if configuration.backend.kind == "local":
        return
    try:
        backend = configuration.backend.open(set_up.lake.store, configuration.timeouts.detached)
        if not calls:
            yield Finding("trainer", "skipped", f"{backend.name} is not asked with --no-calls")
            return
        backend.status(NO_JOB)
    except BackendError as error:
        yield Finding("trainer", "warning", f"training jobs cannot run: {error}")
    else:
        yield Finding("trainer", "ok", f"{backend.name} answers")
