"""`make demo-train`: tunes the configured base models on the latest release and shows what came of it.

The same asset, trainer, Pipes and manifest as everywhere; only the recipe is small. A checkpoint that is there is not
made again.
"""

import sys
import time

from dagster import DagsterInstance
from rich.table import Table as RichTable

from assets.boost_qa.release import latest_release
from assets.checkpoints.checkpoint import latest_checkpoint
from assets.checkpoints.recipe import Training
from assets.partitions import UNTUNED
from master_dagster.demo import DEMO_VARIANTS, StepFailed, console, run_step
from master_dagster.deployment import load_deployment
from resources.configuration import ConfigurationError
from resources.lake import Lake
from resources.store import StoreError

# The set that it is all about comes first, then what it is compared with.
TUNED = (UNTUNED, *DEMO_VARIANTS)


def results_table(lake: Lake, training: Training) -> RichTable:
    """Steps, losses and time, a row a base model and variant."""
    table = RichTable(title="Checkpoints", title_justify="left")
    for name in ("base model", "variant", "steps", "loss", "validation", "minutes"):
        table.add_column(name, justify="left" if name in ("base model", "variant") else "right", no_wrap=True)
    for base in training.bases:
        for variant in TUNED:
            checkpoint = latest_checkpoint(lake, base.name, variant)
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


def main() -> int:
    """Run it; the exit code is not 0 on any failure."""
    started = time.monotonic()
    try:
        deployment = load_deployment()
        from master_dagster.definitions import build_definitions

        lake, training = deployment.lake(), deployment.training
        release = latest_release(lake)
        names = ", ".join(base.name for base in training.bases)
        console.print(f"Tuning {names} on release {release.id}, trainer {deployment.settings.trainer!r}.", markup=False)
        definitions = build_definitions(deployment)
        with DagsterInstance.get() as instance:
            for base in training.bases:
                for variant in TUNED:
                    run_step(definitions, instance, ["checkpoints"], [f"{base.name}|{variant}"])
        console.print(results_table(lake, training))
    except (ConfigurationError, StoreError, StepFailed) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    console.print(f"{time.monotonic() - started:.0f} s. So few dialogues say nothing about the method.")
    where = "loss curves: asset `checkpoints`, a partition, on http://localhost:3000"
    console.print(f"Next:\n  make ui    # {where}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
