"""The asset that judges dialogues."""

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    BackfillPolicy,
    IdentityPartitionMapping,
    MultiToSingleDimensionPartitionMapping,
    ResourceParam,
    asset,
)

from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES
from assets.framework.outcomes import outcomes_told
from assets.framework.partitions import dialogue_partitions
from assets.framework.ui_metadata import OWNERS, column_schema
from assets.quality.configuration import QualityRules
from assets.quality.runs import ScoredPartition, Scoring, score_partitions
from assets.quality.schema import SCORED
from assets.quality.summary import GATE_FAILED, describe
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake
from resources.progress import progress


@asset(
    partitions_def=dialogue_partitions,
    deps=[
        AssetDep("scenario_dialogues", partition_mapping=IdentityPartitionMapping()),
        AssetDep("dialogue_plans", partition_mapping=MultiToSingleDimensionPartitionMapping("shard")),
        AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
    ],
    group_name="dialogues",
    kinds={"openai", "polars", "parquet"},
    owners=OWNERS,
    description="Every dialogue with its signals, the judge's verdict, a score, and whether it may enter BOOST-QA; the "
    "rejected stay, with their reasons. Manual decisions override the rules.",
    code_version="1",
    backfill_policy=BackfillPolicy.single_run(),
    pool="models",  # see infra/dagster.yaml
    metadata=column_schema(SCORED),
)
def scored_dialogues(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
) -> None:
    """Score the partitions of this run, each written as soon as its last verdict is in."""
    with outcomes_told(context, EndpointUnusable, BudgetSpent, ConfigurationError) as outcomes:

        def done(key: str, partition: ScoredPartition) -> None:
            dialogues = lake.read(DIALOGUES, [partition.keys])
            outcomes.described[key] = describe(partition, dialogues, lake.path(SCORED, partition.keys))
            if partition.gate == "failed":
                outcomes.unfit[key] = GATE_FAILED

        scoring = Scoring.begin(lake, chat, prompts, quality_rules)
        with progress("judging", context.log.info) as update:
            outcomes.faults |= run_async(score_partitions(scoring, outcomes.keys, done, update, context.run.run_id))
