"""The asset `scored_dialogues`: every dialogue with its signals, the verdict of the judge, and the decision."""

from collections.abc import Iterator

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    IdentityPartitionMapping,
    MaterializeResult,
    MultiPartitionsDefinition,
    MultiToSingleDimensionPartitionMapping,
    ResourceParam,
    asset,
)

from assets.framework.partition_run import RunProgress, run_partitions
from assets.framework.prompts import PromptBook
from assets.framework.run_report import report_outcomes
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import column_schema
from assets.quality.configuration import QualityRules
from assets.quality.schema import SCORED
from assets.quality.score_partition import DialogueScoring
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake
from resources.progress import progress

NEARLY_ALL_REJECTED = (
    "Nearly every dialogue was rejected. Read some (`master-dagster show --rejected`): a weak model, prompts that do "
    "not fit the seeds, or wrong references are the usual causes. docs/quality.md says what each reason means."
)


def scores_asset(partitions: MultiPartitionsDefinition) -> AssetsDefinition:
    """The stage for the scenarios of a deployment; `partitions` are scenario × shard."""

    @asset(
        partitions_def=partitions,
        deps=[
            AssetDep("scenario_dialogues", partition_mapping=IdentityPartitionMapping()),
            AssetDep("dialogue_plans", partition_mapping=MultiToSingleDimensionPartitionMapping("shard")),
            AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
        ],
        group_name="dialogues",
        kinds={"openai", "polars", "parquet"},
        description="Every dialogue with its signals, the judge's verdict, a score, and whether it may enter BOOST-QA; "
        "the rejected ones stay, with their reasons. Manual decisions override the rules.",
        code_version="1",
        backfill_policy=BackfillPolicy.single_run(),
        output_required=False,  # where partitions wait for a batch, see `report_outcomes`
        pool="models",  # see infra/dagster.yaml
        metadata=column_schema(SCORED),
    )
    def scored_dialogues(
        context: AssetExecutionContext,
        lake: ResourceParam[Lake],
        chat: ResourceParam[ChatService],
        scenarios: ResourceParam[Scenarios],
        prompts: ResourceParam[PromptBook],
        quality_rules: ResourceParam[QualityRules],
    ) -> Iterator[MaterializeResult[None]]:
        """Score the partitions of this run; write each partition as soon as its last verdict is there."""
        with (
            report_outcomes(context, EndpointUnusable, BudgetSpent, ConfigurationError) as outcomes,
            progress("judging", context.log.info) as update,
        ):
            shown = RunProgress(update)
            work = DialogueScoring(
                lake, chat, scenarios, prompts, quality_rules, outcomes.keys, shown, context.run.run_id
            )
            run_async(run_partitions(work, outcomes, address=lake.store.uri(SCORED.name)))
            context.log.info(work.summary())
            if work.nearly_all_rejected:
                context.log.warning(NEARLY_ALL_REJECTED)
        if not outcomes.waiting:
            yield MaterializeResult()

    return scored_dialogues
