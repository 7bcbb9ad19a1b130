"""A code location for the tests of the UI: its assets show hostile text in all places where Dagster's UI shows text."""

from functools import partial
from types import SimpleNamespace

from dagster import AssetExecutionContext, Definitions, Failure, MaterializeResult, MetadataValue, asset

from assets.framework.check_files import Check
from assets.framework.checks import CheckRun, asset_checks
from assets.framework.ui_metadata import sample_markdown, table_markdown
from resources.outside_text import without_links

HOSTILE = (
    "https://evil.example/x",
    "HTTP://WWW.evil.example",
    "www.evil.example",
    "[a](https://evil.example)",
    "![a](https://evil.example/a.png)",
    '<a href="https://evil.example">b</a>',
    "<https://evil.example>",
    "[c]: https://evil.example [c]",
    "[d](javascript:alert(1)) javascript:alert(2)",
    "e@evil.example",
    "https:\\//evil.example &#104;ttps://evil.example",
)
TEXT = "\n".join(HOSTILE)
LINKED = "https://linked.example/"  # of which the UI does make links


@asset
def shown(context: AssetExecutionContext) -> MaterializeResult[None]:
    """Succeeds."""
    context.log.warning(without_links(TEXT))
    context.log.info(f"ours: {LINKED}")
    return MaterializeResult(
        metadata={
            "sample": sample_markdown(("Teacher", TEXT)),
            "table": table_markdown([{"text": text} for text in HOSTILE]),
            "text": TEXT,
            "path": MetadataValue.path(HOSTILE[0]),
            "json": MetadataValue.json({"text": TEXT}),
            "ours": MetadataValue.md(LINKED),
        }
    )


@asset
def failing(context: AssetExecutionContext) -> None:
    """Fails."""
    context.log.info(f"ours: {LINKED}")
    raise Failure(TEXT, metadata={"text": TEXT, "sample": sample_markdown(("Teacher", TEXT))})


no_hostile_rows: Check[CheckRun] = Check(
    "no_hostile_rows", f"There is none. {LINKED}", lambda _: [{"text": text} for text in HOSTILE]
)
checks = asset_checks("shown", [no_hostile_rows], partial(CheckRun))
defs = Definitions(assets=[shown, failing], asset_checks=[checks], resources={"lake": SimpleNamespace()})
