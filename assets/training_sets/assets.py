"""The `training_sets` asset: what models are tuned on, one variant a partition."""

from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    BackfillPolicy,
    Failure,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.boost_qa.release import latest_release, offer
from assets.boost_qa.schema import RELEASE_ROW, RELEASED
from assets.boost_qa.selection import query
from assets.partitions import selected_keys, variants
from assets.shown import OWNERS, column_schema, quoted, table_markdown
from assets.training_sets.variants import MAKERS, TrainingSet, TrainingSetError
from resources.lake import Lake
from resources.store import StoreError


@asset(
    partitions_def=variants,
    deps=["boost_qa", AssetDep("raw_seeds", partition_mapping=AllPartitionMapping())],
    group_name="releases",
    kinds={"parquet", "huggingface"},
    owners=OWNERS,
    code_version="1",
    backfill_policy=BackfillPolicy.single_run(),
    metadata=column_schema(RELEASED),
    description="What models are tuned on, of the latest release: `boost_qa` points to it; `ori` holds the same seeds "
    "in the same splits with their original answers, in the same form.",
)
def training_sets(context: AssetExecutionContext, lake: ResourceParam[Lake]) -> None:
    """Make each variant of this run from the latest release."""
    try:
        release = latest_release(lake)
        for variant in selected_keys(context):
            made = MAKERS[variant](lake, release)
            context.add_asset_metadata(training_set_metadata(lake, made), partition_key=variant)
    except (TrainingSetError, StoreError) as error:
        raise Failure(str(error), allow_retries=False) from error


def training_set_metadata(lake: Lake, made: TrainingSet) -> dict[str, Any]:
    """What the UI shows of a training set."""
    with lake.connect([]) as connection:
        offer(connection, "released", RELEASE_ROW, map(lake.store.uri, made.files("data/")))
        cursor = connection.execute(query("sample.sql"))
        sample = dict(zip([column[0] for column in cursor.description or []], cursor.fetchall()[0], strict=True))
    turns = "\n>\n".join(f"> **{turn['from']}**\n>\n{quoted(turn['value'], 600)}" for turn in sample["conversations"])
    rows: dict[str, int] = made.manifest["rows"]
    return {
        "sample": MetadataValue.md(turns),
        "rows by split": table_markdown([{"split": split, "rows": count} for split, count in rows.items()]),
        "dagster/partition_row_count": sum(rows.values()),
        "release": made.manifest["release"],
        "files": made.data_folder,
        "manifest": made.folder,
    }
