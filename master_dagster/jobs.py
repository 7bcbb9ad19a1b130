"""The named jobs: dialogues and scores, releases, the estimate, regeneration, and Dagster's record of the lake."""

from dagster import (
    AssetSelection,
    Config,
    OpExecutionContext,
    ResourceParam,
    ScheduleDefinition,
    define_asset_job,
    job,
    op,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from pydantic import Field

from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import table_markdown
from assets.quality.configuration import QualityRules
from assets.quality.regenerations import regenerate_rejected_dialogues
from assets.seeds.mirror import mirror_shards
from master_dagster.estimates import (
    calibration_line,
    headline,
    matching_partitions,
    planned_estimates,
    role_rows,
    server_line,
)
from master_dagster.maintenance.dead_runs import end_dead_runs
from master_dagster.maintenance.record import record_lake
from resources.chat.service import ChatService
from resources.lake.tables import Lake


def asset_job(name: str, description: str, *assets: str) -> UnresolvedAssetJobDefinition:
    """The job that materialises these assets."""
    return define_asset_job(name, AssetSelection.assets(*assets), description=description)


read_seeds = asset_job(
    "read_seeds", "Reads the chosen sources, adds their new seeds and embeds them.", "raw_seeds", "seed_embeddings"
)
plan_dialogues = asset_job(
    "plan_dialogues", "Plans the dialogues of the chosen shards. Calls no model.", "dialogue_plans"
)
dialogues_and_scores = asset_job(
    "dialogues_and_scores",
    "Generates and scores the dialogues of the chosen partitions (scenario and shard).",
    "scenario_dialogues",
    "scored_dialogues",
)
calibrate_judge = asset_job(
    "calibrate_judge",
    "Measures how often the judge misses planted faults and rejects good dialogues. Asks the judge.",
    "judge_calibration",
)
publish = asset_job(
    "publish",
    "Makes a BOOST-QA release of all accepted dialogues. If its gates pass, it becomes the latest release.",
    "boost_qa",
)
release = asset_job(
    "release",
    "Makes a BOOST-QA release, as `publish` does, then the chosen training sets from it.",
    "boost_qa",
    "training_sets",
)
comparison_inputs = asset_job(
    "comparison_inputs",
    "What the training sets `cot` and `tagcos` read: asks models, and launches a training job.",
    "chain_of_thought_answers",
    "gradient_features",
)
train_checkpoints = asset_job(
    "train_checkpoints",
    "Fine-tunes the chosen base models on the chosen training sets, each in a training job.",
    "checkpoints",
)
score_checkpoints = asset_job(
    "score_checkpoints",
    "Asks the chosen checkpoints the questions of the benchmarks. Calls models.",
    "benchmark_scores",
)

daily_spending = ScheduleDefinition(
    name="daily_spending",
    target=AssetSelection.assets("spending"),
    cron_schedule="0 6 * * *",
    description="Writes what was paid so far and what it bought, every morning. Calls no model.",
)


class PartitionsConfig(Config):
    """The partitions of a job."""

    partitions: list[str] = Field(
        default_factory=list, description="Keys or shell patterns, such as 'debate|*'; every planned one by default."
    )


class RegenerationConfig(PartitionsConfig):
    """The rejected dialogues to regenerate."""

    reasons: list[str] = Field(min_length=1, description="Rejection reasons, such as wrong_final_answer.")


@op(description="Estimates calls, tokens, US dollars and hours of the partitions with the profile in use.")
def estimate_partitions(
    context: OpExecutionContext,
    config: PartitionsConfig,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    scenarios: ResourceParam[Scenarios],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
) -> None:
    estimate, calibration = planned_estimates(lake, config.partitions, scenarios, prompts, chat.profile, quality_rules)
    context.log.info(f"{headline(estimate)}; {calibration_line(calibration)}")
    context.add_output_metadata(
        {
            "calls": estimate.calls,
            "tokens": estimate.tokens,
            "US dollars": estimate.cost,
            "US dollars, all live": estimate.live_cost,
            "US dollars, all in batches": estimate.batch_cost,
            "hours": estimate.hours,
            "roles": table_markdown(role_rows(estimate)),
            "servers": "; ".join(map(server_line, estimate.servers)) or "none is started",
            "calibration": calibration_line(calibration),
        }
    )


@job(description="Estimates what the chosen partitions would cost, before any money is spent. Calls no model.")
def estimate_cost() -> None:
    estimate_partitions()


@op(description="Marks rejected dialogues of the chosen reasons, which makes their partitions stale.")
def mark_rejected(
    context: OpExecutionContext,
    config: RegenerationConfig,
    lake: ResourceParam[Lake],
    scenarios: ResourceParam[Scenarios],
) -> None:
    marked = regenerate_rejected_dialogues(
        lake, matching_partitions(lake, scenarios, config.partitions), config.reasons
    )
    context.log.info(f"{marked} dialogues are marked; materialise scenario_dialogues and scored_dialogues for them")


@job(description="Has rejected dialogues of the chosen reasons generated again in the next run of their partitions.")
def regenerate_rejected() -> None:
    mark_rejected()


@op(description="Updates the instance from the lake: shard partitions, dead runs, record of materialisations.")
def mirror(context: OpExecutionContext, lake: ResourceParam[Lake]) -> None:
    added = mirror_shards(lake, context.instance)
    context.log.info(f"{len(added)} shards added to this instance: {', '.join(added) or 'none was missing'}")
    ended = end_dead_runs(context.instance)
    context.log.info(f"{len(ended)} dead runs ended: {', '.join(ended) or 'none'}")
    recorded = record_lake(lake, context.instance)
    for asset, partitions in recorded.items():
        context.log.info(f"{asset}: {partitions} partitions of the lake recorded as materialised")
    context.add_output_metadata({"shards added": len(added), "runs ended": len(ended), **recorded})


@job(
    description="Makes this Dagster instance agree with the lake: shard partitions, and the record of what is "
    "materialised. Run it in a fresh instance, and after a run was killed. Repeating it changes nothing."
)
def mirror_lake() -> None:
    mirror()
