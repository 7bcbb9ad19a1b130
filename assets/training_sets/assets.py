"""The `training_sets` asset: what models are tuned on, one variant a partition."""

from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    BackfillPolicy,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import RELEASES, create_view
from assets.boost_qa.schema import RELEASE_ROW, RELEASED
from assets.boost_qa.selection import query
from assets.framework.partitions import variants
from assets.framework.publication import GatesFailed
from assets.framework.run_report import report_outcomes
from assets.framework.ui_metadata import OWNERS, column_schema, quoted, table_markdown
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from assets.training_sets.configuration import ComparisonRules
from assets.training_sets.makers import VariantContext, make_variant
from assets.training_sets.variants import TrainingSet, TrainingSetError
from resources.chat.calls import BudgetSpent, EndpointUnusable
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError, StoreUnreachable
from resources.lake.tables import Lake
from resources.progress import progress
from resources.training_jobs.backend import BackendError
from resources.training_jobs.job import TrainingJob
from resources.training_jobs.trainer import Trainer, TrainingFailed


@asset(
    partitions_def=variants,
    deps=["boost_qa", AssetDep("raw_seeds", partition_mapping=AllPartitionMapping())],
    group_name="releases",
    kinds={"parquet", "huggingface"},
    owners=OWNERS,
    code_version="2",
    backfill_policy=BackfillPolicy.single_run(),
    pool="models",  # see infra/dagster.yaml; `cot` asks them
    metadata=column_schema(RELEASED),
    description="What models are tuned on, of the latest release, all of one form, size and splits: `boost_qa` points "
    "to it; `ori` holds the same seeds with their original answers, `random_aug` and `spelling_aug` these with "
    "character noise, `cot` a chain of thought for each; `me` to `db_ep` the dialogues of one or two scenarios, the "
    "other seeds with their original answers; `tagcos` and `cot_collection` are chosen from a pool of their own.",
)
def training_sets(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    trainer: ResourceParam[Trainer],
    release_rules: ResourceParam[ReleaseRules],
    comparison_rules: ResourceParam[ComparisonRules],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> MaterializeResult[Any]:
    """Make each variant of this run from the latest release; those that cannot be made do not keep others from it."""

    def compute(work: TrainingJob) -> None:
        trainer.train(context, work)

    with report_outcomes(context, ConfigurationError) as outcomes:
        release = RELEASES.latest(lake)
        retracted = load_retractions(seeds_configuration, lake.s3)
        with progress("reasoning", context.log.info) as update:
            workshop = VariantContext(
                lake,
                release,
                comparison_rules,
                release_rules,
                retracted,
                chat,
                compute,
                update,
                context.log.info,
                context.run.run_id,
            )
            for variant in outcomes.keys:
                try:
                    outcomes.written[variant] = training_set_metadata(lake, make_variant(workshop, variant))
                except StoreUnreachable:  # no fault of this variant's
                    raise
                except EXPECTED as error:
                    outcomes.failures[variant] = str(error)
    return MaterializeResult()  # Dagster asks for one where a Pipes session was open


EXPECTED = (
    TrainingSetError,
    GatesFailed,
    ConfigurationError,
    StoreError,
    EndpointUnusable,
    BudgetSpent,
    TrainingFailed,
    BackendError,
)


def training_set_metadata(lake: Lake, made: TrainingSet) -> dict[str, Any]:
    """What the UI shows of a training set."""
    with lake.connect([]) as connection:
        create_view(connection, "released", RELEASE_ROW, map(lake.store.uri, made.files("data/")))
        cursor = connection.execute(query("sample.sql"))
        sample = dict(zip([column[0] for column in cursor.description or []], cursor.fetchall()[0], strict=True))
    turns = "\n>\n".join(f"> **{turn['from']}**\n>\n{quoted(turn['value'], 600)}" for turn in sample["conversations"])
    rows: dict[str, int] = made.manifest["rows"]
    return {
        "sample": MetadataValue.md(turns),
        "rows by split": table_markdown([{"split": split, "rows": count} for split, count in rows.items()]),
        "dagster/partition_row_count": sum(rows.values()),
        "what became of the seeds": table_markdown(
            [{"what": what, "rows": count} for what, count in made.manifest.get("counts", {}).items()]
        ),
        "made with": MetadataValue.json(made.manifest.get("made_with", {})),
        "release": made.manifest["release"],
        "files": made.data_folder,
        "manifest": made.folder,
    }
