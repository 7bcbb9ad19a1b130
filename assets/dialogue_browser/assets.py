"""The `dialogue_browser` asset: static files in which people read every dialogue of a release."""

from typing import Any

from dagster import AllPartitionMapping, AssetDep, Failure, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.dialogue_browser.gathering import BrowserError
from assets.dialogue_browser.publishing import Browser, make_browser
from assets.dialogue_browser.schema import LISTED
from assets.framework.ui_metadata import column_schema, stored_at, table_markdown
from resources.lake.store import StoreError
from resources.lake.tables import Lake


@asset(
    deps=["boost_qa", AssetDep("scored_dialogues", partition_mapping=AllPartitionMapping())],
    group_name="releases",
    kinds={"html", "javascript"},
    code_version="1",
    metadata=column_schema(LISTED),
    description="A page to read every dialogue of the latest release, accepted or not: search, filters, each as a chat "
    "with its verdict, signals and lineage. Static files beside a manifest: open index.html from a disk, a web server "
    "or a bucket. It loads nothing from elsewhere.",
)
def dialogue_browser(lake: ResourceParam[Lake]) -> MaterializeResult[Any]:
    """Publish the browser of the latest release, unless it is published already."""
    try:
        browser = make_browser(lake)
    except (BrowserError, StoreError) as error:
        raise Failure(str(error), allow_retries=False) from None
    return MaterializeResult(metadata=browser_metadata(lake, browser))


def browser_metadata(lake: Lake, browser: Browser) -> dict[str, Any]:
    """What the UI shows of a browser."""
    manifest = browser.manifest
    return {
        "page": stored_at(lake.store, f"{browser.folder}/index.html"),
        "dialogues by verdict": table_markdown(manifest["counts"], len(manifest["counts"])),
        "dagster/row_count": MetadataValue.int(manifest["dialogues"]),
        "release": MetadataValue.text(manifest["release_folder"]),
        "files": MetadataValue.int(len(manifest["files"])),
        "megabytes": MetadataValue.float(round(sum(file["bytes"] for file in manifest["files"]) / 1e6, 3)),
    }
