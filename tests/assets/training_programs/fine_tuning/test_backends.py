"""The real program as a job of SageMaker's and AWS Batch's stand-ins, its lake on S3."""

import os

import pytest
from dagster import AssetExecutionContext, DagsterInstance, MaterializeResult, asset, materialize

from assets.checkpoints.checkpoint import training_job_for
from assets.training_programs.recipe import BaseModel
from assets.training_programs.specification import Specification
from resources.training_jobs.configuration import TrainerConfiguration
from resources.training_jobs.launcher import open_job_launcher
from tests.aws_stand_in import BATCH, SAGEMAKER, AwsStandIn
from tests.stand_in_jobs import Fate
from tests.trainer_work import PROJECT, Workplace, sums

ROWS, VALIDATION = sums(0, 24), sums(100, 2)  # twelve steps: time to be interrupted in


@pytest.fixture
def spot(aws_stand_in: AwsStandIn, s3_root: str, tiny_base: BaseModel, one_thread: None) -> Workplace:
    """A lake on S3, and backends whose image holds this project."""
    aws_stand_in.environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    return Workplace(f"{s3_root}/spot", tiny_base)


def train(backend: dict[str, object], workplace: Workplace, specification: Specification) -> bool:
    """Materialise an asset that runs the training job; whether it succeeded."""
    timeouts = {"poll_seconds": 0.2, "retry_seconds": 0.01}
    launcher = open_job_launcher(
        TrainerConfiguration.model_validate({"backend": backend, "timeouts": timeouts}), workplace.store
    )

    @asset
    def checkpoint(context: AssetExecutionContext) -> MaterializeResult[None]:
        launcher.run(context, training_job_for(specification))
        return MaterializeResult()

    with DagsterInstance.ephemeral() as instance:
        return materialize([checkpoint], instance=instance, raise_on_error=False).success


@pytest.mark.parametrize(
    ("backend", "fate"),
    [
        (SAGEMAKER, Fate(interrupt_at="step 1/12", restarts=True)),
        (SAGEMAKER, Fate(interrupt_at="step 3/12")),
        (BATCH, Fate(interrupt_at="step 3/12", host_fails=True)),
    ],
    ids=["sagemaker restarts it", "sagemaker does not restart it", "the host of a batch job fails"],
)
def test_an_interrupted_job_ends_with_the_adapter_of_an_undisturbed_one(
    backend: dict[str, object], fate: Fate, aws_stand_in: AwsStandIn, spot: Workplace, s3_root: str
) -> None:
    alone = Workplace(f"{s3_root}/alone", spot.base)
    undisturbed = alone.ask(ROWS, VALIDATION)
    assert alone.run(undisturbed) == 0
    aws_stand_in.fates = [fate]
    specification = spot.ask(ROWS, VALIDATION)

    assert train(backend, spot, specification)

    assert spot.adapter(specification) == alone.adapter(undisturbed)
    assert sum(job.started for job in aws_stand_in.jobs) == 2
