"""`dialogue_plans`, one partition per shard."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import polars as pl
from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    BackfillPolicy,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogue_plans.planning import PlanError, plan_shards
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogue_plans.summary import describe_plans, first_plan, partner_reuse, scenario_by_split
from assets.framework.partitions import shards, source_of
from assets.framework.run_report import report_outcomes
from assets.framework.ui_metadata import OWNERS, column_schema, quoted, table_markdown
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from assets.seeds.shards import source_shards
from resources.lake.tables import Lake


@asset(
    partitions_def=shards,
    deps=[
        AssetDep("raw_seeds", partition_mapping=AllPartitionMapping()),
        AssetDep("seed_embeddings", partition_mapping=AllPartitionMapping()),
    ],
    group_name="seeds",
    kinds={"polars", "parquet"},
    owners=OWNERS,
    description="One dialogue plan per seed: its split, scenario, debate rounds and analogy partner. "
    "A written plan never changes, also if its shard is materialised again.",
    code_version="1",
    backfill_policy=BackfillPolicy.single_run(),
    metadata=column_schema(DIALOGUE_PLANS),
)
def dialogue_plans(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    plan_rules: ResourceParam[PlanRules],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> None:
    """Plan the shards of this run that have no plan yet, source by source."""
    retracted = load_retractions(seeds_configuration, lake.s3)
    with report_outcomes(context) as outcomes:
        for source, group in groupby(sorted(outcomes.keys, key=source_of), key=source_of):
            keys = list(group)
            try:
                new = plan_shards(lake, source, keys, plan_rules, retracted)
            except PlanError as error:
                outcomes.failures |= dict.fromkeys(keys, str(error))
                continue
            outcomes.written |= describe(lake, source, keys, new, plan_rules)


def describe(
    lake: Lake, source: str, keys: Sequence[str], new: Sequence[str], rules: PlanRules
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The metadata of each shard of a source, from its written plans."""
    written = source_shards(lake, source)
    columns = ["seed_id", "scenario", "partner_seed_id"]
    reuse = partner_reuse(lake.read(DIALOGUE_PLANS, [{"shard": shard} for shard in written], columns))
    counts, first = {}, []
    for shard in keys:  # one at a time, to bound the memory
        plans = lake.read(DIALOGUE_PLANS, [{"shard": shard}])
        first.append(first_plan(plans))
        counts[shard] = {
            "plans by scenario and split": table_markdown(scenario_by_split(plans)),
            "analogies without partner": plans.filter(plans["scenario"] != plans["drawn_scenario"]).height,
            "dagster/partition_row_count": plans.height,
        }
    samples = describe_plans(lake, source, written, pl.concat(first))
    for shard in keys:
        facts = lake.facts(DIALOGUE_PLANS, {"shard": shard})
        yield (
            shard,
            {
                "sample plan": MetadataValue.md(quoted(samples[shard])),
                **counts[shard],
                "partners in the source": reuse.partners,
                "partners of several seeds": reuse.of_several,
                "partners that have a partner": reuse.with_partner,
                "planned": "now" if shard in new else "earlier, unchanged",
                "rules": "current" if facts["rules"] == rules.identity else "earlier ones, different from the current",
                "embedder": facts["embedder"] or "not needed",
                "file": lake.path(DIALOGUE_PLANS, {"shard": shard}),
            },
        )
