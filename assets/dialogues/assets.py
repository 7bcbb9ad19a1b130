"""The asset that holds the classes: every dialogue plan becomes a dialogue."""

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    BackfillPolicy,
    Config,
    MultiToSingleDimensionPartitionMapping,
    ResourceParam,
    asset,
)
from pydantic import Field

from assets.dialogues.prompts import PromptBook
from assets.dialogues.runner import DialogueRunner, TeachingRules
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.teaching import Progress
from assets.framework.outcomes import outcomes_told
from assets.framework.partitions import dialogue_partitions
from assets.framework.ui_metadata import OWNERS, column_schema
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake
from resources.progress import progress as progress_shown


class TeachingConfig(Config):
    """What a run of the classroom may be told."""

    regenerations: int = Field(default=2, ge=0, le=20, description="How often a refused utterance is asked for again.")
    set_aside_limit: float = Field(
        default=0.5, ge=0, le=1, description="A partition fails when a greater share of its dialogues is set aside."
    )
    set_aside_minimum: int = Field(
        default=5,
        ge=1,
        description="Fewer refused dialogues than this never fail a partition; more than 2 % left unanswered do.",
    )

    def rules(self) -> TeachingRules:
        """The same as plain data."""
        return TeachingRules(self.regenerations, self.set_aside_limit, self.set_aside_minimum)


@asset(
    partitions_def=dialogue_partitions,
    deps=[
        AssetDep("dialogue_plans", partition_mapping=MultiToSingleDimensionPartitionMapping("shard")),
        AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
    ],
    group_name="dialogues",
    kinds={"openai", "parquet"},
    owners=OWNERS,
    description="TurnLoop dialogues of one shard in one scenario. What is already there and was made by the same "
    "plans, prompts and models is left as it is; what was paid for is never paid again.",
    code_version="1",
    backfill_policy=BackfillPolicy.single_run(),
    pool="models",  # see infra/dagster.yaml
    metadata=column_schema(DIALOGUES),
)
def scenario_dialogues(
    context: AssetExecutionContext,
    config: TeachingConfig,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    prompts: ResourceParam[PromptBook],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> None:
    """Hold the classes of this run's partitions; write each as soon as it is done."""
    retracted = load_retractions(seeds_configuration, lake.s3)
    with outcomes_told(context, BudgetSpent, EndpointUnusable, ConfigurationError) as outcomes:
        school = DialogueRunner(lake, chat, prompts, config.rules(), retracted, outcomes)
        progress = Progress(outcomes.keys, failed=outcomes.faults)
        with progress_shown("dialogues", context.log.info) as update:

            def show() -> None:
                update(progress.done, progress.dialogues, school.throughput.describe, progress.parts)

            run_async(school.teach(progress, show, context.run.run_id))
        context.log.info(
            f"{progress.done} dialogues, {progress.set_aside} set aside; {school.throughput.describe_total()}"
        )
