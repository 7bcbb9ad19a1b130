"""One materialisation in a process of its own, to be ended from outside."""

import os
from pathlib import Path
from typing import Any

import boto3  # noqa: F401 - loaded before the process is forked
from dagster import AssetExecutionContext, DagsterInstance, MaterializeResult, asset, materialize

from resources.lake.opening import open_store
from resources.training_jobs.configuration import TrainerConfiguration
from resources.training_jobs.launcher import open_job_launcher
from tests.resources.training_jobs.launching import job


def launch_once(given: dict[str, Any]) -> None:
    """Run a training job, and write what ended it to a file.

    Args:
        given: `environment`, `root` (the lake), `backend`, `timeouts`, `specification`, `outcome` (the file).
    """
    os.environ.update(given["environment"])
    configuration = TrainerConfiguration.model_validate({key: given[key] for key in ("backend", "timeouts")})

    @asset
    def checkpoint(context: AssetExecutionContext) -> MaterializeResult[None]:
        try:
            open_job_launcher(configuration, open_store(given["root"])).run(context, job(**given["specification"]))
        except BaseException as error:
            Path(given["outcome"]).write_text(type(error).__name__)
            raise
        return MaterializeResult()

    with DagsterInstance.ephemeral() as instance:
        materialize([checkpoint], instance=instance, raise_on_error=False)
