"""The real program as a job of the stand-ins for SageMaker, AWS Batch and Kubernetes, its lake on S3."""

import os

import pytest
from dagster import AssetExecutionContext, DagsterInstance, MaterializeResult, asset, materialize

from assets.checkpoints.checkpoint import training_job_for
from assets.training_programs.recipe import BaseModel
from assets.training_programs.specification import Specification
from resources.training_jobs.configuration import TrainerConfiguration
from resources.training_jobs.launcher import open_job_launcher
from tests.aws_stand_in import BATCH, SAGEMAKER
from tests.kubernetes_stand_in import KUBERNETES
from tests.stand_in_jobs import Fate, JobService
from tests.trainer_work import PROJECT, Workplace, sums

ROWS, VALIDATION = sums(0, 24), sums(100, 2)  # twelve steps: time to be interrupted in


@pytest.fixture
def service(request: pytest.FixtureRequest, one_thread: None) -> JobService:
    """A stand-in by the name of its fixture; its image holds this project."""
    stand_in: JobService = request.getfixturevalue(request.param)
    stand_in.environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    return stand_in


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
    ("service", "backend", "fate", "recipe"),
    [
        ("aws_stand_in", SAGEMAKER, Fate(interrupt_at="step 1/12", restarts=True), {}),
        ("aws_stand_in", SAGEMAKER, Fate(interrupt_at="step 3/12"), {}),
        ("aws_stand_in", BATCH, Fate(interrupt_at="step 3/12", host_fails=True), {}),
        ("kubernetes_stand_in", KUBERNETES, Fate(interrupt_at="step 3/12", host_fails=True), {}),
        ("kubernetes_stand_in", KUBERNETES, Fate(interrupt_at="step 3/12"), {"nodes": 2, "batch_size": 1}),
    ],
    ids=[
        "sagemaker restarts it",
        "sagemaker does not restart it",
        "the host of a batch job fails",
        "a kubernetes node is lost",
        "one of two kubernetes nodes is reclaimed",
    ],
    indirect=["service"],
)
def test_an_interrupted_job_ends_with_the_adapter_of_an_undisturbed_one(
    service: JobService,
    backend: dict[str, object],
    fate: Fate,
    recipe: dict[str, int],
    s3_root: str,
    tiny_base: BaseModel,
) -> None:
    alone, disturbed = (Workplace(f"{s3_root}/{name}", tiny_base) for name in ("alone", "disturbed"))
    undisturbed, specification = (place.ask(ROWS, VALIDATION, **recipe) for place in (alone, disturbed))
    if recipe:
        assert train(backend, alone, undisturbed)
    else:
        assert alone.run(undisturbed) == 0
    before = sum(job.started for job in service.jobs)
    service.fates = [fate]

    assert train(backend, disturbed, specification)

    assert disturbed.adapter(specification) == alone.adapter(undisturbed)
    assert sum(job.started for job in service.jobs) - before == 2 * recipe.get("nodes", 1)
