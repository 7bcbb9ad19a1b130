"""The asset `spending`: what was paid for models, and what it bought."""

from typing import Any

from dagster import AllPartitionMapping, AssetDep, AssetExecutionContext, MaterializeResult, ResourceParam, asset

from assets.framework.run_report import report_store_errors
from assets.framework.ui_metadata import column_schema
from assets.spending.schema import SPENDING
from assets.spending.spending import write_spending
from assets.spending.summary import spending_metadata, spent_text, totals
from resources.lake.tables import Lake


@asset(
    name=SPENDING.name,
    # Not of judge_calibration and chain_of_thought_answers: many projects never make them, and the UI warns of that.
    deps=[
        AssetDep(name, partition_mapping=AllPartitionMapping())
        for name in ("scenario_dialogues", "scored_dialogues", "benchmark_scores")
    ],
    group_name="operations",
    kinds={"polars", "parquet"},
    code_version="2",
    metadata=column_schema(SPENDING),
    description="Tokens, hours of machines and US dollars by day, run, stage, scenario, source, role and model, live "
    "and in batches, with the price of an accepted dialogue and of a benchmark point. Counts what was paid for "
    "discarded answers too. Calls no model.",
)
def spending(context: AssetExecutionContext, lake: ResourceParam[Lake]) -> MaterializeResult[Any]:
    """Write the days that are new or changed."""
    with report_store_errors(context):
        rows = write_spending(lake)
        context.log.info(f"{spent_text(totals(rows))}; {lake.store.uri(SPENDING.name)}")
        return MaterializeResult(metadata=spending_metadata(lake, rows))
