"""The assets `published_release` and `published_adapters`, on the Hugging Face hub. They exist where one is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    Failure,
    MaterializeResult,
    MetadataValue,
    MultiPartitionsDefinition,
    ResourceParam,
    asset,
)

from assets.boost_qa.schema import RELEASED
from assets.checkpoints.schema import METRICS
from assets.framework.partitions import UNTUNED, selected_keys
from assets.framework.run_report import report_store_errors
from assets.framework.ui_metadata import column_schema
from assets.hub_publication.configuration import PUBLISHED_ADAPTERS, PUBLISHED_RELEASE, HubConfiguration
from assets.hub_publication.pushing import Pushed, push_adapter, push_release
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.retractions import load_retractions
from resources.configuration import ConfigurationError
from resources.hub import HubError
from resources.lake.tables import Lake


def hub_assets(hub: HubConfiguration, tunings: MultiPartitionsDefinition) -> list[AssetsDefinition]:
    """The assets whose repositories are named; `tunings` are the partitions of the checkpoints."""
    return [
        *([published_release] if hub.repository else []),
        *([_adapters_asset(tunings)] if hub.model_prefix else []),
    ]


@asset(
    name=PUBLISHED_RELEASE,
    deps=["boost_qa"],
    group_name="releases",
    kinds={"huggingface"},
    code_version="1",
    metadata=column_schema(RELEASED),
    description="The latest release in a dataset repository of the Hugging Face hub: one commit, tagged with the "
    "release's id. A release that is there is not pushed again. The rows of a retracted seed are withdrawn by the next "
    "release; earlier commits keep them unless MASTER_HUB_DELETE_WITHDRAWN is set.",
)
def published_release(
    context: AssetExecutionContext,
    lake: ResourceParam[Lake],
    hub: ResourceParam[HubConfiguration],
    seeds_configuration: ResourceParam[SeedsConfiguration],
) -> MaterializeResult[Any]:
    """Push the latest release."""
    with _failures(context):
        pushed = push_release(lake, hub, load_retractions(seeds_configuration, lake.s3))
    return MaterializeResult(metadata=push_metadata(pushed))


def _adapters_asset(tunings: MultiPartitionsDefinition) -> AssetsDefinition:
    @asset(
        name=PUBLISHED_ADAPTERS,
        partitions_def=tunings,
        deps=["checkpoints"],
        group_name="training",
        kinds={"huggingface"},
        code_version="1",
        metadata=column_schema(METRICS),
        description="Adapters in model repositories of the Hugging Face hub, one per base model and variant, "
        "linked to the base model and the dataset. The partitions `untuned` have no adapter and push nothing.",
    )
    def published_adapters(
        context: AssetExecutionContext, lake: ResourceParam[Lake], hub: ResourceParam[HubConfiguration]
    ) -> MaterializeResult[Any]:
        (key,) = selected_keys(context)
        base, _, variant = key.partition("|")
        if variant == UNTUNED:
            return MaterializeResult(metadata={"adapter": "none: the base model as it is"})
        with _failures(context):
            pushed = push_adapter(lake, hub, base, variant)
        return MaterializeResult(metadata=push_metadata(pushed))

    return published_adapters


@contextmanager
def _failures(context: AssetExecutionContext) -> Iterator[None]:
    """Fail the step with the message of an error of the hub or the lake instead of a stack trace."""
    try:
        with report_store_errors(context):
            yield
    except (HubError, ConfigurationError) as error:
        raise Failure(str(error), allow_retries=False) from None


def push_metadata(pushed: Pushed) -> dict[str, Any]:
    """What the UI shows of a push."""
    return {
        "repository": MetadataValue.url(f"{pushed.url}/tree/{pushed.id}"),
        "tag": pushed.id,
        "commit": pushed.commit,
        "files added or replaced": pushed.added,
        "files deleted": pushed.deleted,
        "history deleted": pushed.history_deleted,
    }
