"""The `experiment_report` asset: did the dialogues help, with intervals, next to the paper's figures."""

from collections.abc import Mapping
from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    Failure,
    MarkdownMetadataValue,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import COLOURS, column_schema, new_figure, picture, stored_at, table_markdown
from assets.report.findings import findings
from assets.report.formatting import COMPARED, NOTHING, TITLES, between, find, percent, points
from assets.report.inputs import NothingScored
from assets.report.making import Report, make_report
from assets.report.schema import REPORT_SCORES
from assets.training_programs.recipe import Training
from resources.lake.store import StoreError
from resources.lake.tables import Lake, TableError

EVERY_PARTITION = AllPartitionMapping()


@asset(
    name=REPORT_SCORES.name,
    deps=[
        AssetDep(BENCHMARK_SCORES.name, partition_mapping=EVERY_PARTITION),
        AssetDep("training_sets", partition_mapping=EVERY_PARTITION),
        AssetDep("scored_dialogues", partition_mapping=EVERY_PARTITION),
        "boost_qa",
        "dialogue_browser",
    ],
    group_name="evaluation",
    kinds={"html", "markdown"},
    code_version="2",
    metadata=column_schema(REPORT_SCORES),
    description="Did the dialogues help? The paper's tables with ours beside them, intervals and paired comparisons, "
    "lengths, errors, costs, and what was excluded and why: a self-contained page, Markdown and numbers, in a folder "
    "that never changes. What is not scored yet is shown as missing.",
)
def experiment_report(
    lake: ResourceParam[Lake], training: ResourceParam[Training], scenarios: ResourceParam[Scenarios]
) -> MaterializeResult[Any]:
    """Write the report, or find that the latest one is made of the same."""
    try:
        report = make_report(lake, scenarios, [base.name for base in training.bases], training.seed_of)
    except (NothingScored, StoreError, TableError) as error:
        raise Failure(str(error), allow_retries=False) from None
    return MaterializeResult(metadata=report_metadata(lake, report))


def report_metadata(lake: Lake, report: Report) -> dict[str, MetadataValue[Any]]:
    """What the UI shows of a report, read from its numbers."""
    small: list[str] = report.manifest["too_small"]
    said = [f"**So small a run shows nothing about the method:** {'; '.join(small)}."] if small else []
    metadata: dict[str, MetadataValue[Any]] = {
        "findings": MetadataValue.md("\n\n".join([*said, *findings(report.numbers, small)])),
        "accuracy in percent": accuracy_table(report.numbers),
    }
    if drawn := differences_picture(report.numbers):
        metadata["BOOST-QA against the original answers"] = drawn
    return metadata | {
        "page": stored_at(lake.store, f"{report.folder}/report.html"),
        "open it": MetadataValue.text(lake.store.uri(f"{report.folder}/report.html")),
        "missing": MetadataValue.int(len(report.numbers["missing"])),
        "dagster/row_count": MetadataValue.int(len(report.numbers["scores"])),
    }


def accuracy_table(numbers: Mapping[str, Any]) -> MarkdownMetadataValue:
    """Averages of the three variants that matter most, one row per base model and variant."""
    rows = []
    for base in numbers["bases"]:
        for variant in COMPARED:
            row = find(numbers["averages"], base=base, variant=variant)
            shown = percent(row["average"]) if row else NOTHING
            rows.append(
                {"tuned on": f"{base}, {TITLES[variant]}", "average": shown, "95 % interval": between(row) or NOTHING}
            )
    return table_markdown(rows, limit=30)


def differences_picture(numbers: Mapping[str, Any]) -> MarkdownMetadataValue | None:
    """The paired differences with their intervals; None where there is none."""
    rows = numbers["by_benchmark"]
    if not rows:
        return None
    titles = {row["benchmark"]: row["title"] for row in numbers["scores"]}
    figure = new_figure(6.4, 1.2 + 0.35 * len(rows))
    axes = figure.subplots()
    values = [100 * row["difference"] for row in rows]
    spread = [
        [100 * (row["difference"] - row["low"]) for row in rows],
        [100 * (row["high"] - row["difference"]) for row in rows],
    ]
    axes.errorbar(values, range(len(rows)), xerr=spread, fmt="o", color=COLOURS[0], capsize=3)
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{row['base']}, {titles[row['benchmark']]}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("points, with 95 % intervals")
    described = "; ".join(f"{titles[row['benchmark']]} {points(row['difference'])}" for row in rows)
    return picture(figure, f"BOOST-QA against the original answers: {described}")
