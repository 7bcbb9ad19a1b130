"""The asset `scenario_dialogues`: every dialogue plan becomes a dialogue."""

from collections.abc import Iterator

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    MaterializeResult,
    MultiPartitionsDefinition,
    MultiToSingleDimensionPartitionMapping,
    ResourceParam,
    asset,
)
from pydantic import Field

from assets.dialogues.generate import DialogueGeneration, GenerationRules
from assets.dialogues.schema import DIALOGUES
from assets.framework.partition_run import RunProgress, run_partitions
from assets.framework.run_report import report_outcomes
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import column_schema
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake
from resources.progress import progress


class GenerationConfig(Config):
    """The run configuration of `scenario_dialogues`."""

    regenerations: int = Field(default=2, ge=0, le=20, description="How often a refused utterance is asked for again.")
    set_aside_limit: float = Field(
        default=0.5, ge=0, le=1, description="A partition fails when a greater share of its dialogues is set aside."
    )
    set_aside_minimum: int = Field(
        default=5,
        ge=1,
        description="Fewer refused dialogues than this never fail a partition; more than 2 % left unanswered do.",
    )


def dialogues_asset(partitions: MultiPartitionsDefinition) -> AssetsDefinition:
    """The stage for the scenarios of a deployment; `partitions` are scenario × shard."""

    @asset(
        partitions_def=partitions,
        deps=[
            AssetDep("dialogue_plans", partition_mapping=MultiToSingleDimensionPartitionMapping("shard")),
            AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
        ],
        group_name="dialogues",
        kinds={"openai", "parquet"},
        description="The dialogues of one shard in one scenario. A partition that was generated from the present "
        "plans, prompts and models stays as it is; a completion that was paid for is never paid for again.",
        code_version="1",
        backfill_policy=BackfillPolicy.single_run(),
        output_required=False,  # where partitions wait for a batch, see `report_outcomes`
        pool="models",  # see infra/dagster.yaml
        metadata=column_schema(DIALOGUES),
    )
    def scenario_dialogues(
        context: AssetExecutionContext,
        config: GenerationConfig,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        scenarios: ResourceParam[Scenarios],
        seeds_configuration: ResourceParam[SeedsConfiguration],
    ) -> Iterator[MaterializeResult[None]]:
        """Generate the dialogues of this run's partitions; write each partition as soon as it is done."""
        retracted = load_retractions(seeds_configuration, lake.s3)
        rules = GenerationRules(**config.model_dump())
        with (
            report_outcomes(context, BudgetSpent, EndpointUnusable, ConfigurationError) as outcomes,
            progress("dialogues", context.log.info) as update,
        ):
            shown = RunProgress(update)
            work = DialogueGeneration(lake, chat, scenarios, rules, retracted, outcomes.keys, shown, context.run.run_id)
            run_async(run_partitions(work, outcomes, address=lake.store.uri(DIALOGUES.name)))
            context.log.info(f"{shown.done} dialogues, {work.set_aside} set aside; {work.throughput.describe_total()}")
        if not outcomes.waiting:
            yield MaterializeResult()

    return scenario_dialogues
