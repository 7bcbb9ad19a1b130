"""`train` and `evaluate`: checkpoints of base models and their benchmark scores."""

from collections.abc import Sequence
from dataclasses import replace

from rich.table import Table as RichTable

from assets.boost_qa.release import RELEASES, Release
from assets.checkpoints.checkpoint import (
    CHECKPOINTS,
    CheckpointError,
    default_variants,
    losses_at_ends,
    planned_specification,
)
from assets.framework.partitions import FREE_VARIANTS, TUNED_BY_DEFAULT, UNTUNED
from assets.training_sets.ablations import tuned_variants
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.graph import build_definitions
from master_dagster.steps import open_instance, run_step
from master_dagster.terminal import confirm, console
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake
from resources.sandbox.bubblewrap import NoSandbox
from resources.sandbox.sandbox import require_sandbox

LOSSES = (
    "Losses show whether a model learned its own set, not which model is better: the loss is the mean of the first and "
    "of the last fifth of the steps, validation that of the variant's own validation rows. `evaluate` compares models."
)


def train(bases: Sequence[str], variants: Sequence[str], yes: bool) -> None:
    """Make the training sets of the variants, fine-tune the base models on them, and print a table.

    Args:
        bases: names of base models; all configured ones where it is empty.
        variants: names of training sets; `default_variants`, those beyond `TUNED_BY_DEFAULT` where possible, where it
            is empty.
        yes: do not ask before training starts.

    Raises:
        ConfigurationError: a setting or a name is wrong, or nobody is there to be asked.
        StepFailed: names the step and the first cause.
    """
    deployment = load_deployment()
    named = variants or default_variants(deployment.training)
    keys = tunings(deployment, bases, named)
    lake, definitions = deployment.lake(), build_definitions(deployment)
    release = RELEASES.latest(lake)
    console.print(
        f"Fine-tuning on release {release.id} with trainer {deployment.settings.trainer!r}: {', '.join(keys)}.",
        markup=False,
    )
    confirm(yes)
    with open_instance() as instance:
        for variant in variants or [one for one in named if one in FREE_VARIANTS]:
            run_step(definitions, instance, ["training_sets"], [variant])
        if not variants:
            keys = possible(deployment, keys, release)
        for key in keys:
            run_step(definitions, instance, ["checkpoints"], [key])
    console.print(results_table(lake, keys))
    console.print("Next:\n  master-dagster evaluate    # benchmarks score the checkpoints")


def evaluate(bases: Sequence[str], variants: Sequence[str], yes: bool) -> None:
    """Score the checkpoints of the variants with the configured benchmarks.

    Args:
        bases: names of base models; all configured ones where it is empty.
        variants: names of training sets.
        yes: do not ask before models are served and asked.

    Raises:
        ConfigurationError: a setting or a name is wrong, or nobody is there to be asked.
        StepFailed: names the step and the first cause.
    """
    deployment = without_code_benchmarks(load_deployment())
    keys = tunings(deployment, bases, variants or default_variants(deployment.training))
    if not variants:
        keys = [key for key in keys if _is_expected(deployment.lake(), *key.split("|"))]
    names = ", ".join(benchmark.name for benchmark in deployment.benchmarks.benchmarks)
    console.print(f"Scoring {', '.join(keys)} with {names}.", markup=False)
    confirm(yes)
    definitions = build_definitions(deployment)
    with open_instance() as instance:
        for key in keys:
            run_step(definitions, instance, ["benchmark_scores"], [key])
    console.print("Next:\n  master-dagster report    # whether BOOST-QA helped, as tables and a page")


def _is_expected(lake: Lake, base: str, variant: str) -> bool:
    """Whether `train` without names makes this checkpoint, or made it."""
    return variant in (UNTUNED, *TUNED_BY_DEFAULT) or CHECKPOINTS.find_latest(lake, base, variant) is not None


def possible(deployment: Deployment, keys: Sequence[str], release: Release) -> list[str]:
    """The keys without those beyond `TUNED_BY_DEFAULT` that cannot be tuned; says why, one line for each."""
    found, lake, training = [], deployment.lake(), deployment.training
    for key in keys:
        base, variant = key.split("|")
        try:
            if variant not in (UNTUNED, *TUNED_BY_DEFAULT):
                planned_specification(lake, release, training, training.base(base), variant, image="")
            found.append(key)
        except CheckpointError as error:
            console.print(f"  {key} is left out: {error}", style="yellow", markup=False, soft_wrap=True)
    return found


def tunings(deployment: Deployment, bases: Sequence[str], variants: Sequence[str]) -> list[str]:
    """Partition keys of the base models, each as it is and fine-tuned on each variant.

    Raises:
        ConfigurationError: a name is not known; the message lists those that are.
    """
    known = [base.name for base in deployment.training.bases]
    for what, given, allowed in (
        ("base model", bases, known),
        ("training set for fine-tuning", variants, tuned_variants(deployment.scenarios)),
    ):
        if unknown := [name for name in given if name not in allowed]:
            raise ConfigurationError(f"no {what} is called {', '.join(unknown)}; there are {', '.join(allowed)}")
    return [f"{base}|{variant}" for base in bases or known for variant in (UNTUNED, *variants)]


def results_table(lake: Lake, keys: Sequence[str]) -> RichTable:
    """Steps, losses and time, one row per base model and variant."""
    table = RichTable(title="Checkpoints", title_justify="left", caption=LOSSES, caption_justify="left")
    for name in ("base model", "variant", "steps", "loss, start → end", "validation", "minutes"):
        table.add_column(name, justify="left" if name in ("base model", "variant") else "right", no_wrap=True)
    for base, variant in (key.split("|") for key in keys):
        checkpoint = CHECKPOINTS.latest(lake, base, variant)
        results = checkpoint.results
        if not results:
            table.add_row(base, variant, "-", "-", "-", "-")
            continue
        validation = results.get("validation_loss")
        table.add_row(
            base,
            variant,
            str(checkpoint.manifest["global_step"]),
            "{:.3f} → {:.3f}".format(*losses_at_ends(lake, checkpoint)),
            "-" if validation is None else f"{validation:.3f}",
            f"{results['seconds'] / 60:.1f}",
        )
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
