"""The nightly schedule, which launches the due partitions, and the asset `tonight`, which shows the night before."""

from datetime import UTC, datetime
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    DefaultScheduleStatus,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    TableColumn,
    TableRecord,
    TableSchema,
    asset,
    schedule,
)

from assets.framework.run_report import report_store_errors
from assets.seeds.mirror import mirror_shards
from master_dagster.automation.nightly import (
    NIGHTLY,
    limit_pool,
    name_of,
    own_tags,
    plan_partitions,
    run_request,
    runs_of_tick,
)
from master_dagster.automation.tonight import COLUMNS, Tonight, shown_rows, tonight, tonight_now
from master_dagster.deployment import Deployment
from master_dagster.jobs import dialogues_and_scores
from master_dagster.maintenance.dead_runs import end_dead_runs
from resources.lake.tables import Lake

TONIGHT = "tonight"


def nightly_schedule(deployment: Deployment) -> ScheduleDefinition:
    """The schedule that launches due partitions within the limits of the settings. Off by default."""

    @schedule(
        name=NIGHTLY,
        job=dialogues_and_scores,
        cron_schedule=deployment.settings.nightly_cron,
        default_status=DefaultScheduleStatus.STOPPED,
        description="Launches partitions that are missing, failed or stale. The log of a tick lists which partitions "
        f"it launched, and which it skipped and why; the asset `{TONIGHT}` has the table of the whole night.",
    )
    def nightly_partitions(
        context: ScheduleEvaluationContext, lake: ResourceParam[Lake]
    ) -> list[RunRequest] | SkipReason:
        instance, tick = context.instance, context.scheduled_execution_time
        if launched := runs_of_tick(instance, tick):
            context.log.info(
                f"This tick launched {len(launched)} runs before it was interrupted; it launches no others."
            )
            return [RunRequest(run.tags["dagster/run_key"], tags=own_tags(run)) for run in launched]
        end_dead_runs(instance)
        mirror_shards(lake, instance)
        limit_pool(instance, "models")
        plan = plan_partitions(deployment, lake, instance, datetime.now(UTC))
        choice, runs = plan.choice, plan.runs
        try:
            night = night_metadata(tonight(deployment, lake, instance, plan))
            instance.report_runless_asset_event(AssetMaterialization(TONIGHT, metadata=night))
        except Exception as error:  # whatever is wrong with sources or checkpoints, the night goes on
            context.log.warning(
                f"The table of the night cannot be made ({type(error).__name__}: {error}); materialise "
                f"{TONIGHT} to see why. The runs are launched all the same."
            )
        for line in choice.summary.splitlines():
            context.log.info(line)
        if not choice.chosen:
            return SkipReason(choice.summary)
        for run in runs:
            context.log.info(f"Launched: {name_of(run)} ({run.reasons})")
        return [run_request(run, f"{tick.isoformat()} {name_of(run)}") for run in runs]

    return nightly_partitions


def tonight_asset(deployment: Deployment) -> AssetsDefinition:
    """The asset that shows what the night would do, materialised by hand and at each nightly tick."""

    @asset(
        name=TONIGHT,
        group_name="operations",
        kinds={"dagster"},
        code_version="1",
        metadata={
            "dagster/column_schema": TableSchema(
                [TableColumn(name, "string", description) for name, description in COLUMNS.items()]
            )
        },
        description="What the next night would do over the whole graph: sources to read, partitions to generate and to "
        "judge, the release, training and scoring, with reasons and prices. Each nightly tick records it too. Calls no "
        "model and launches nothing.",
    )
    def show_tonight(context: AssetExecutionContext, lake: ResourceParam[Lake]) -> MaterializeResult[Any]:
        with report_store_errors(context):
            return MaterializeResult(metadata=night_metadata(tonight_now(deployment, lake, context.instance)))

    return show_tonight


def night_metadata(night: Tonight) -> dict[str, Any]:
    """The table and its sums, for the UI."""
    rows = shown_rows(night)
    names = list(rows[0]) if rows else []
    table = MetadataValue.table(
        [TableRecord(row) for row in rows], TableSchema([TableColumn(name, "string") for name in names])
    )
    totals = {
        "dialogues": night.totals["dialogues"],
        "calls": night.totals["calls"],
        "US dollars, all live": night.totals["live_cost"],
        "US dollars, all in batches": night.totals["batch_cost"],
    }
    return {"night": table if rows else "nothing is due", **totals}
