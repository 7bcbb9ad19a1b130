"""The jobs that have names: teaching, publishing, the dry run, making rejected dialogues anew, the mirror."""

from dagster import AssetSelection, Config, OpExecutionContext, ResourceParam, define_asset_job, job, op
from pydantic import Field

from assets.dialogues.estimate import dry_run
from assets.dialogues.prompts import PromptBook
from assets.framework.partitions import dialogue_partitions, variants
from assets.framework.ui_metadata import table_markdown
from assets.quality.regenerations import ask_again
from assets.seeds.mirror import mirror_shards
from master_dagster.estimates import headline, matching_partitions, role_rows
from master_dagster.maintenance.dead_runs import end_dead_runs
from master_dagster.maintenance.record import record_lake
from resources.chat.service import ChatService
from resources.lake.tables import Lake

teach_and_score = define_asset_job(
    "teach_and_score",
    selection=AssetSelection.assets("scenario_dialogues", "scored_dialogues"),
    partitions_def=dialogue_partitions,
    description="Make and judge the dialogues of the chosen partitions (scenario and shard).",
)

publish = define_asset_job(
    "publish",
    selection=AssetSelection.assets("boost_qa"),
    description="Assemble a BOOST-QA release from every accepted dialogue; latest.json moves if its gates pass.",
)


release = define_asset_job(
    "release",
    selection=AssetSelection.assets("boost_qa", "training_sets"),
    partitions_def=variants,
    description="A BOOST-QA release as by `publish`, then the chosen training sets of it.",
)


class PartitionsConfig(Config):
    """Which partitions."""

    partitions: list[str] = Field(
        default_factory=list, description="Keys or shell patterns, such as 'debate|*'; every planned one by default."
    )


class AskAgainConfig(PartitionsConfig):
    """Which dialogues to make anew."""

    reasons: list[str] = Field(min_length=1, description="Rejection reasons, such as wrong_final_answer.")


@op(description="What the partitions would take under the profile in force: calls, tokens, money, hours.")
def estimate_partitions(
    context: OpExecutionContext,
    config: PartitionsConfig,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    prompts: ResourceParam[PromptBook],
) -> None:
    estimate = dry_run(lake, matching_partitions(lake, config.partitions), prompts, chat.profile)
    context.log.info(headline(estimate))
    context.add_output_metadata(
        {
            "calls": estimate.calls,
            "tokens": estimate.tokens,
            "US dollars": estimate.cost,
            "hours": estimate.hours,
            "roles": table_markdown(role_rows(estimate)),
        }
    )


@job(description="Dry run: what the chosen partitions would take, before any money is spent. Calls no model.")
def estimate_cost() -> None:
    estimate_partitions()


@op(description="Mark rejected dialogues of chosen reasons; their partitions are stale from then on.")
def mark_rejected(context: OpExecutionContext, config: AskAgainConfig, lake: ResourceParam[Lake]) -> None:
    marked = ask_again(lake, matching_partitions(lake, config.partitions), config.reasons)
    context.log.info(f"{marked} dialogues are marked; materialise scenario_dialogues and scored_dialogues for them")


@job(description="Have rejected dialogues of chosen reasons generated anew at the next run of their partitions.")
def make_rejected_anew() -> None:
    mark_rejected()


@op(description="Make the instance agree with the lake: its shards, its runs whose process is gone, what is made.")
def mirror(context: OpExecutionContext, lake: ResourceParam[Lake]) -> None:
    added = mirror_shards(lake, context.instance)
    context.log.info(f"{len(added)} shards added to this instance: {', '.join(added) or 'none was missing'}")
    ended = end_dead_runs(context.instance)
    context.log.info(f"{len(ended)} runs ended whose process is gone: {', '.join(ended) or 'none'}")
    recorded = record_lake(lake, context.instance)
    for asset, partitions in recorded.items():
        context.log.info(f"{asset}: {partitions} partitions of the lake were not recorded in this instance, now are")
    context.add_output_metadata({"shards added": len(added), "runs ended": len(ended), **recorded})


@job(
    description="Make this Dagster instance agree with the lake, which is the truth: shard partitions, and the record "
    "of what is materialised. For a fresh instance, and after a run was killed. Does nothing twice."
)
def mirror_lake() -> None:
    mirror()
