"""The `boost_qa` asset: one release of everything that is accepted and current."""

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

from assets.boost_qa.assembly import AssemblyError
from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import ReleaseRefused, make_release
from assets.boost_qa.schema import RELEASED
from assets.boost_qa.summary import release_metadata
from assets.framework.prompts import PromptBook
from assets.framework.publication import GatesFailed
from assets.framework.run_report import report_store_errors
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import column_schema
from assets.quality.configuration import QualityRules
from assets.quality.partition_status import expected_fingerprints
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError
from resources.lake.published_folders import Overtaken
from resources.lake.tables import Lake

UPSTREAM = ("raw_seeds", "dialogue_plans", "scenario_dialogues", "scored_dialogues")


@asset(
    deps=["judge_calibration", *(AssetDep(name, partition_mapping=AllPartitionMapping()) for name in UPSTREAM)],
    group_name="releases",
    kinds={"parquet", "huggingface"},
    code_version="1",
    metadata=column_schema(RELEASED),
    description="A release of BOOST-QA: accepted dialogues of all current partitions in ShareGPT form, as Parquet and "
    "JSONL in train, validation and test, with a dataset card, what was left out and why, and a manifest. Releases "
    "never change; `latest.json` points to a new one once it has passed its gates.",
)
def boost_qa(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    scenarios: ResourceParam[Scenarios],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
    release_rules: ResourceParam[ReleaseRules],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> MaterializeResult[Any]:
    """Publish a release; the latest one stays if it is made of the same partitions, rules and models."""
    with report_store_errors(context):
        try:
            release = make_release(
                lake,
                release_rules,
                expected_fingerprints(chat.profile, scenarios, prompts, quality_rules),
                load_retractions(seeds_configuration, lake.s3),
            )
        except (ReleaseRefused, GatesFailed, Overtaken, AssemblyError, ConfigurationError) as error:
            raise Failure(str(error), allow_retries=False) from None
        rows = ", ".join(f"{count:,} {split}" for split, count in release.manifest["rows"].items())
        context.log.info(f"release {release.id} with {rows} rows: {lake.store.uri(release.folder)}")
        return MaterializeResult(metadata=release_metadata(lake, release, scenarios))
