"""The `checkpoints` asset: base models tuned on each training set, one pair a partition."""

from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    Failure,
    MaterializeResult,
    MultiPartitionsDefinition,
    ResourceParam,
    asset,
)

from assets.checkpoints.checkpoint import (
    CHECKPOINTS,
    Checkpoint,
    CheckpointError,
    publish_untuned,
    refuse_misfits,
    specification_for,
    training_job_for,
)
from assets.checkpoints.schema import METRICS
from assets.checkpoints.summary import checkpoint_metadata, untuned_metadata
from assets.framework.partitions import UNTUNED, selected_keys
from assets.framework.run_report import report_store_errors, retry_outage
from assets.framework.ui_metadata import column_schema
from assets.training_programs.recipe import Training
from assets.training_programs.specification import HOME
from resources.lake.tables import Lake
from resources.progress import progress
from resources.training_jobs.backend import BackendError
from resources.training_jobs.launcher import JobLauncher, TrainingFailed


def checkpoint_asset(tunings: MultiPartitionsDefinition) -> AssetsDefinition:
    """The stage for the base models of a configuration; `tunings` are base × variant."""

    @asset(
        name=HOME,
        partitions_def=tunings,
        # not by the variant alone: `untuned` has no training set, and Dagster would miss it
        deps=[AssetDep("training_sets", partition_mapping=AllPartitionMapping())],
        group_name="training",
        kinds={"huggingface", "pytorch"},
        code_version="1",
        pool="training",
        metadata=column_schema(METRICS),
        description="LoRA adapters: each base model tuned on each variant of the latest release, by the trainer that "
        "the deployment names. `untuned` is the base model as it is. The columns are those of metrics.jsonl.",
    )
    def checkpoints(
        context: AssetExecutionContext,
        lake: ResourceParam[Lake],
        training: ResourceParam[Training],
        job_launcher: ResourceParam[JobLauncher],
    ) -> MaterializeResult[Any]:
        (key,) = selected_keys(context)
        base, _, variant = key.partition("|")
        with report_store_errors(context):
            try:
                checkpoint = make_checkpoint(context, lake, training, job_launcher, base, variant)
                shown = (
                    untuned_metadata(lake, checkpoint)
                    if variant == UNTUNED
                    else checkpoint_metadata(lake, checkpoint, job_launcher.configuration)
                )
            except (CheckpointError, TrainingFailed, BackendError) as error:
                retry_outage(context, error)
                raise Failure(str(error), allow_retries=False) from None
        return MaterializeResult(metadata=shown)

    return checkpoints


def make_checkpoint(
    context: AssetExecutionContext, lake: Lake, training: Training, job_launcher: JobLauncher, base: str, variant: str
) -> Checkpoint:
    """Tune one base model on the latest set of one variant, unless that was done, and move `latest.json` to it.

    Raises:
        CheckpointError, StoreError: there is nothing, too little or something damaged to train on.
        TrainingFailed, BackendError: the job failed or could not be started.
    """
    run = CHECKPOINTS.begin(lake, base, variant)
    if variant == UNTUNED:
        return publish_untuned(run, training.base(base))
    refuse_misfits(training.recipe_of(base, variant), job_launcher.configuration.backend)
    specification = specification_for(lake, training, training.base(base), variant, job_launcher.image)
    with progress(f"training {base} on {variant}", context.log.info):  # the job is silent while it starts
        job_launcher.run(context, training_job_for(specification))
    return run.point_to(specification.id)
