"""`report`: what the fine-tuned models' scores say, as tables and a page."""

from rich.table import Table as RichTable

from assets.report.findings import findings
from assets.report.formatting import COMPARED, between, find, percent, title
from assets.report.making import REPORTS, Report
from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.steps import open_instance, run_step
from master_dagster.terminal import console
from resources.lake.tables import Lake


def report() -> None:
    """Make the report of all scores in the lake, and print its findings.

    Raises:
        ConfigurationError: a setting is wrong.
        StepFailed: names the first cause.
    """
    deployment = load_deployment()
    with open_instance() as instance:
        run_step(build_definitions(deployment), instance, ["dialogue_browser", "experiment_report"], None)
    show_report(deployment.lake())


def scores_table(report: Report) -> RichTable:
    """Accuracy of each model in each benchmark, with its interval."""
    table = RichTable(title="Right answers in percent, with 95 % intervals", title_justify="left")
    table.add_column("benchmark")
    rows = report.numbers["scores"]
    variants = list(dict.fromkeys((*COMPARED, *sorted(row["variant"] for row in rows))))
    for variant in variants:
        table.add_column(title(report.numbers, variant), justify="right")
    for base, stage, name in dict.fromkeys((row["base"], row["stage"], row["benchmark"]) for row in rows):
        found = [find(rows, base=base, stage=stage, benchmark=name, variant=variant) for variant in variants]
        shown = next(row["title"] for row in found if row) if any(found) else name
        cells = [f"{percent(row['accuracy'])} ({between(row)})" if row else "-" for row in found]
        table.add_row(shown + (", after a review" if stage == "exchange" else ""), *cells)
    return table


def show_report(lake: Lake) -> None:
    """Print the scores, what follows from them, and where the report is."""
    report = REPORTS.latest(lake)
    console.print(scores_table(report))
    small: list[str] = report.manifest["too_small"]
    if small:
        console.print(f"So small a run shows nothing about the method: {'; '.join(small)}.", style="yellow")
    for sentence in findings(report.numbers, small):
        console.print(sentence, markup=False)
    console.print(f"The report: {lake.store.uri(report.folder)}/report.html", soft_wrap=True, markup=False)
