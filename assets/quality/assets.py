"""The asset that judges dialogues."""

from typing import Any

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
from assets.quality.summary import GATE_FAILED, describe
from assets.retries import settle_outage
from assets.shown import OWNERS, column_schema, report_written
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.lake import Lake
from resources.progress import progress
from resources.store import StoreError


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
    described: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}

    def done(key: str, partition: ScoredPartition) -> None:
        dialogues = lake.read(DIALOGUES, [partition.keys])
        described[key] = describe(partition, dialogues, lake.path(SCORED, partition.keys))
        if partition.gate == "failed":
            failed[key] = GATE_FAILED

    keys = selected_keys(context)
    try:
        scoring = Scoring.begin(lake, chat, prompts, quality_rules)
        with progress("judging", context.log.info) as update:
            faults = run_async(score_partitions(scoring, keys, done, update, context.run.run_id))
        faults |= failed
        if faults:
            reasons = "\n".join(f"{key}: {reason}" for key, reason in sorted(faults.items()))
            raise Failure(f"{reasons}\n{len(faults)} of {len(keys)} partitions failed", allow_retries=False)
    except (EndpointUnusable, BudgetSpent, ConfigurationError, StoreError) as error:
        report_written(context, described, failed)
        settle_outage(context, error)
        raise Failure(
            f"{error}\n{len(described)} of {len(keys)} partitions are written. What was paid for is not paid again.",
            allow_retries=False,
        ) from error
    except BaseException:
        report_written(context, described, failed)
        raise
    for key, metadata in described.items():
        context.add_asset_metadata(metadata, partition_key=key)
