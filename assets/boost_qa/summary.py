"""What the UI shows of a release."""

from typing import Any

import duckdb
from dagster import MarkdownMetadataValue, MetadataValue

from assets.boost_qa.card import scenarios_figure
from assets.boost_qa.release import RELEASES, Release, create_release_views
from assets.boost_qa.selection import query
from assets.framework.check_files import query_rows
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import picture, sample_markdown, stored_at, table_markdown
from resources.lake.tables import Lake


def release_metadata(lake: Lake, release: Release, scenarios: Scenarios) -> dict[str, MetadataValue[Any]]:
    """What the UI shows of a release, read from its files."""
    manifest = release.manifest
    with lake.connect([]) as connection:
        create_release_views(connection, lake, release, "released")
        sample = released_sample(connection)
    rows, changes, previous = manifest["rows_by_scenario"], manifest["changes"], manifest["previous"]
    return {
        "sample": sample,
        "rows": table_markdown(rows),
        "rows by scenario": picture(scenarios_figure(rows, scenarios), "rows by scenario and split"),
        "dagster/row_count": MetadataValue.int(sum(manifest["rows"].values())),
        "release": MetadataValue.text(release.id),
        "path": stored_at(lake.store, release.folder),
        "changes": MetadataValue.text("first release") if changes is None else table_markdown(changes),
        "not released": table_markdown(manifest["removed"]),
        "coverage": MetadataValue.float(manifest["coverage"]),
        "partitions left out": table_markdown(manifest["left_out"]),
        "previous release": MetadataValue.text(RELEASES.folder(previous) if previous else "none"),
    }


def released_sample(connection: duckdb.DuckDBPyConnection) -> MarkdownMetadataValue:
    """A good short row of the view `released`, as a chat."""
    (row,) = query_rows(connection, query("sample.sql"))
    return sample_markdown(*((turn["from"], turn["value"]) for turn in row["conversations"]))
