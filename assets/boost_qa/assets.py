"""The `boost_qa` asset: one release of everything that is accepted and current."""

from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.boost_qa.assembly import AssemblyError
from assets.boost_qa.card import scenarios_figure
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import HOME, Release, ReleaseRefused, create_release_views, make_release
from assets.boost_qa.schema import RELEASED
from assets.boost_qa.selection import query
from assets.framework.prompts import PromptBook
from assets.framework.publication import GatesFailed
from assets.framework.run_report import report_store_errors
from assets.framework.ui_metadata import OWNERS, column_schema, picture, quoted, table_markdown
from assets.quality.configuration import QualityRules
from assets.quality.partition_status import expected_fingerprints
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError
from resources.lake.published_folders import Overtaken
from resources.lake.tables import Lake

EVERY_PARTITION = AllPartitionMapping()


@asset(
    deps=[
        AssetDep("raw_seeds", partition_mapping=EVERY_PARTITION),
        AssetDep("dialogue_plans", partition_mapping=EVERY_PARTITION),
        AssetDep("scenario_dialogues", partition_mapping=EVERY_PARTITION),
        AssetDep("scored_dialogues", partition_mapping=EVERY_PARTITION),
    ],
    group_name="releases",
    kinds={"parquet", "huggingface"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(RELEASED),
    description="A release of BOOST-QA: accepted dialogues of all current partitions in ShareGPT form, as Parquet and "
    "JSONL in train, validation and test, with a dataset card, what was left out and why, and a manifest. Releases "
    "never change; `latest.json` moves to a new one when it has passed its gates.",
)
def boost_qa(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
    release_rules: ResourceParam[ReleaseRules],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> MaterializeResult[Any]:
    """Publish a release, or find that the latest one is made of the same."""
    with report_store_errors(context):
        try:
            release = make_release(
                lake,
                release_rules,
                chat.profile,
                prompts,
                expected_fingerprints(chat.profile, prompts, quality_rules),
                load_retractions(seeds_configuration, lake.s3),
            )
        except (ReleaseRefused, GatesFailed, Overtaken, AssemblyError, ConfigurationError) as error:
            raise Failure(str(error), allow_retries=False) from None
        return MaterializeResult(metadata=release_metadata(lake, release))


def release_metadata(lake: Lake, release: Release) -> dict[str, MetadataValue[Any]]:
    """What the UI shows of a release, read from its files."""
    told = release.manifest
    with lake.connect([]) as connection:
        create_release_views(connection, lake, release, "released")
        cursor = connection.execute(query("sample.sql"))
        sample = dict(zip([column[0] for column in cursor.description or []], cursor.fetchall()[0], strict=True))
    turns = "\n>\n".join(f"> **{turn['from']}**\n>\n{quoted(turn['value'], 600)}" for turn in sample["conversations"])
    partitions = told["left_out"]
    return {
        "sample": MetadataValue.md(turns),
        "rows": table_markdown(told["rows_by_scenario"]),
        "rows by scenario": picture(scenarios_figure(told["rows_by_scenario"]), "rows by scenario and split"),
        "dagster/row_count": MetadataValue.int(sum(told["rows"].values())),
        "release": MetadataValue.text(release.id),
        "path": MetadataValue.text(release.folder),
        "changes": MetadataValue.text("first release") if told["changes"] is None else table_markdown(told["changes"]),
        "not released": table_markdown(told["removed"]),
        "coverage": MetadataValue.float(told["coverage"]),
        "partitions left out": table_markdown(partitions),
        "previous release": MetadataValue.text(f"{HOME}/releases/{told['previous']}" if told["previous"] else "none"),
    }
