"""The asset `judge_calibration`: how often the judge misses planted faults and rejects good dialogues."""

from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    ResourceParam,
    asset,
)

from assets.framework.partition_run import PartitionError, RunProgress
from assets.framework.prompts import PromptBook
from assets.framework.run_report import report_store_errors, retry_outage
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import column_schema
from assets.judge_calibration.calibration import CalibrationWork, calibrate
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from assets.quality.configuration import QualityRules
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake
from resources.progress import progress

UPSTREAM = ("raw_seeds", "dialogue_plans", "scenario_dialogues", "scored_dialogues")


@asset(
    name=JUDGE_CALIBRATION.name,
    deps=[AssetDep(name, partition_mapping=AllPartitionMapping()) for name in UPSTREAM],
    group_name="dialogues",
    kinds={"openai", "polars", "parquet"},
    code_version="1",
    pool="models",  # see infra/dagster.yaml
    metadata=column_schema(JUDGE_CALIBRATION),
    description="Accepted dialogues, untouched and with one planted fault each, judged blind: the shares of faults "
    "that the judge catches and of good dialogues that it rejects. Asks the judge. The next release corrects its error "
    "rate by them.",
)
def judge_calibration(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    scenarios: ResourceParam[Scenarios],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
) -> MaterializeResult[Any]:
    """Calibrate the present judge on the present dialogues; a current calibration stays."""
    with report_store_errors(context):
        try:
            with progress("judging", context.log.info) as update:
                shown = RunProgress(update)
                work = CalibrationWork(lake, chat, scenarios, prompts, quality_rules, shown, context.run.run_id)
                metadata = calibrate(work)
        except (EndpointUnusable, BudgetSpent) as error:
            retry_outage(context, error)
            raise Failure(str(error), allow_retries=False) from None
        except (PartitionError, ConfigurationError) as error:
            raise Failure(str(error), allow_retries=False) from None
        return MaterializeResult(metadata=dict(metadata))
