"""`make demo-train`: fine-tunes the configured base models on the latest release, evaluates them, writes the report.

It uses the assets, the trainer and the manifests of a full comparison with a small recipe and small benchmarks. What
exists is not made again.
"""

import sys
import time
from dataclasses import replace

from dagster import DagsterInstance
from rich.table import Table as RichTable

from assets.boost_qa.release import RELEASES
from assets.checkpoints.checkpoint import CHECKPOINTS
from assets.framework.partitions import FREE_VARIANTS, UNTUNED
from assets.report.findings import findings
from assets.report.formatting import COMPARED, between, find, percent, title
from assets.report.making import REPORTS, Report
from assets.training_programs.recipe import Training
from master_dagster.settings import Deployment, load_deployment
from master_dagster.steps import StepFailed, run_step
from master_dagster.terminal import console
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError
from resources.lake.tables import Lake
from resources.sandbox.bubblewrap import NoSandbox
from resources.sandbox.sandbox import require_sandbox

# BOOST-QA first, then what it is compared with.
TUNED = (UNTUNED, *FREE_VARIANTS)
LOSSES = (
    "Losses show whether a model learned its own set, not which model is better: the loss is that of one "
    "step's few rows, validation that of the variant's own validation rows. The scores below compare the models."
)


def results_table(lake: Lake, training: Training) -> RichTable:
    """Steps, losses and time, one row per base model and variant."""
    table = RichTable(title="Checkpoints", title_justify="left", caption=LOSSES, caption_justify="left")
    for name in ("base model", "variant", "steps", "loss, first → last", "validation", "minutes"):
        table.add_column(name, justify="left" if name in ("base model", "variant") else "right", no_wrap=True)
    for base in training.bases:
        for variant in TUNED:
            checkpoint = CHECKPOINTS.latest(lake, base.name, variant)
            results = checkpoint.results
            if not results:
                table.add_row(base.name, variant, "-", "-", "-", "-")
                continue
            validation = results.get("validation_loss")
            table.add_row(
                base.name,
                variant,
                str(checkpoint.manifest["global_step"]),
                f"{results['first_loss']:.3f} → {results['last_loss']:.3f}",
                "-" if validation is None else f"{validation:.3f}",
                f"{results['seconds'] / 60:.1f}",
            )
    return table


def scores_table(report: Report) -> RichTable:
    """Accuracy of each model in each benchmark, with its interval."""
    table = RichTable(title="Right answers in percent, with 95 % intervals", title_justify="left")
    table.add_column("benchmark")
    for variant in COMPARED:
        table.add_column(title(report.numbers, variant), justify="right")
    rows = report.numbers["scores"]
    for base, stage, name in dict.fromkeys((row["base"], row["stage"], row["benchmark"]) for row in rows):
        found = [find(rows, base=base, stage=stage, benchmark=name, variant=variant) for variant in COMPARED]
        shown = next(row["title"] for row in found if row) if any(found) else name
        cells = [f"{percent(row['accuracy'])} ({between(row)})" if row else "-" for row in found]
        table.add_row(shown + (", after a review" if stage == "exchange" else ""), *cells)
    return table


def without_code_benchmarks(deployment: Deployment) -> Deployment:
    """The deployment without benchmarks that run code, where no sandbox works."""
    try:
        require_sandbox()
    except NoSandbox as error:
        console.print(f"Benchmarks that run code are left out: {error}", style="yellow", markup=False)
        others = tuple(one for one in deployment.benchmarks.benchmarks if one.kind != "code")
        return replace(deployment, benchmarks=deployment.benchmarks.model_copy(update={"benchmarks": others}))
    return deployment


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


def main() -> int:
    """Run the demo. Returns the exit code, 1 on any failure."""
    started = time.monotonic()
    try:
        deployment = without_code_benchmarks(load_deployment())
        from master_dagster.definitions import build_definitions

        lake, training = deployment.lake(), deployment.training
        release = RELEASES.latest(lake)
        names = ", ".join(base.name for base in training.bases)
        trainer = deployment.settings.trainer
        console.print(f"Fine-tuning {names} on release {release.id}, trainer {trainer!r}.", markup=False)
        definitions = build_definitions(deployment)
        tunings = [f"{base.name}|{variant}" for base in training.bases for variant in TUNED]
        with DagsterInstance.get() as instance:
            run_step(definitions, instance, ["training_sets"], FREE_VARIANTS)
            for key in tunings:
                run_step(definitions, instance, ["checkpoints"], [key])
            console.print(results_table(lake, training))
            for key in tunings:
                run_step(definitions, instance, ["benchmark_scores"], [key])
            run_step(definitions, instance, ["dialogue_browser", "experiment_report"], None)
        show_report(lake)
    except (ConfigurationError, StoreError, StepFailed) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    console.print(f"{time.monotonic() - started:.0f} s.")
    where = "the report, the answers and loss curves, on http://localhost:3000"
    console.print(f"Next:\n  make ui    # {where}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
