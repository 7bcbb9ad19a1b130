"""`dialogue_plans`, one partition per shard."""

from itertools import groupby

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    BackfillPolicy,
    ResourceParam,
    asset,
)

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogue_plans.planning import PlanError, plan_shards
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogue_plans.summary import plans_metadata
from assets.framework.partitions import shards, source_of
from assets.framework.run_report import report_outcomes
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import column_schema
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from resources.lake.tables import Lake


@asset(
    partitions_def=shards,
    deps=[
        AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
        AssetDep("seed_embeddings", partition_mapping=AllPartitionMapping()),
    ],
    group_name="seeds",
    kinds={"polars", "parquet"},
    description="One dialogue plan per seed: its split, scenario, drawn number and similar question. "
    "A written plan never changes, also if its shard is materialised again.",
    code_version="1",
    backfill_policy=BackfillPolicy.single_run(),
    metadata=column_schema(DIALOGUE_PLANS),
)
def dialogue_plans(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    scenarios: ResourceParam[Scenarios],
    plan_rules: ResourceParam[PlanRules],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> None:
    """Plan the shards of this run that have no plan yet, source by source."""
    retracted = load_retractions(seeds_configuration, lake.s3)
    with report_outcomes(context) as outcomes:
        for source, group in groupby(sorted(outcomes.keys, key=source_of), key=source_of):
            keys = list(group)
            try:
                new = plan_shards(lake, source, keys, scenarios, plan_rules, retracted)
            except PlanError as error:
                outcomes.failures |= dict.fromkeys(keys, str(error))
                continue
            outcomes.written |= plans_metadata(lake, source, keys, new, scenarios, plan_rules)
