"""The asset that judges dialogues."""

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    BackfillPolicy,
    Failure,
    IdentityPartitionMapping,
    MultiToSingleDimensionPartitionMapping,
    ResourceParam,
    asset,
)

from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES
from assets.partitions import lessons, selected_keys
from assets.quality.configuration import QualityRules
from assets.quality.runs import ScoredPartition, Scoring, score_partitions
from assets.quality.schema import SCORED
from assets.quality.summary import describe
from assets.shown import OWNERS, column_schema
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake import Lake
from resources.progress import progress


@asset(
    partitions_def=lessons,
    deps=[
        AssetDep("scenario_dialogues", partition_mapping=IdentityPartitionMapping()),
        AssetDep("lesson_plans", partition_mapping=MultiToSingleDimensionPartitionMapping("shard")),
        AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
    ],
    group_name="dialogues",
    kinds={"openai", "polars", "parquet"},
    owners=OWNERS,
    description="Every dialogue with its signals, the judge's verdict, a score, and whether it may enter BOOST-QA; the "
    "rejected stay, with their reasons. Manual decisions override the rules.",
    code_version="1",
    backfill_policy=BackfillPolicy.single_run(),
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

    def done(key: str, partition: ScoredPartition) -> None:
        dialogues = lake.read(DIALOGUES, [partition.keys])
        context.add_asset_metadata(describe(partition, dialogues, lake.path(SCORED, partition.keys)), partition_key=key)

    scoring = Scoring(lake, chat, prompts, quality_rules)
    try:
        with progress("judging dialogues", context.log.info) as update:
            faults = run_async(score_partitions(scoring, selected_keys(context), done, update))
    except (EndpointUnusable, BudgetSpent, ConfigurationError) as error:
        raise Failure(f"{error}\nPartitions already written, and verdicts paid for, are kept.") from error
    if faults:
        raise Failure("\n".join(faults))
