"""`run`: the graph from the configured seeds to a release."""

import time
from collections import Counter
from contextlib import suppress

import polars as pl
from rich.table import Table as RichTable

from assets.boost_qa.release import RELEASES
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import FREE_VARIANTS
from assets.framework.scenarios.scenario import Scenarios
from assets.hub_publication.configuration import PUBLISHED_RELEASE
from assets.quality.partition_status import scores_of_dialogues
from assets.quality.schema import SCORED
from assets.quality.summary import reasons_text
from assets.seeds.schema import SEEDS
from assets.training_sets.summary import other_forms_text, rows_of_other_forms
from master_dagster.cli.estimate import estimate_planned, show_estimate
from master_dagster.cli.show import show_best
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.graph import build_definitions
from master_dagster.settings_folder import PROJECT, settings_folder
from master_dagster.steps import materialise_plans, materialise_release, open_instance, run_step
from master_dagster.terminal import confirm, console
from resources.configuration import ConfigurationError
from resources.hub import hub_address
from resources.lake.store import StoreError
from resources.lake.tables import Lake


def run(yes: bool) -> None:
    """Materialise every asset from the raw seeds to a release, and show the result.

    Args:
        yes: do not ask before dialogues are generated.

    Raises:
        ConfigurationError: a setting is wrong, or nobody is there to be asked.
        StepFailed: names the step and the first cause.
    """
    started = time.monotonic()
    deployment = load_deployment()
    definitions, profile = build_definitions(deployment), deployment.profile
    console.print(f"Seeds {deployment.settings.seeds!r}, profile {profile.name!r}. {profile.description}", markup=False)
    with open_instance() as instance:
        materialise_plans(deployment, definitions, instance)
        estimate, _ = estimate_planned(deployment)
        show_estimate(deployment, estimate)
        if estimate.calls:
            deployment.check_keys()
            confirm(yes)
        try:
            materialise_release(deployment, definitions, instance)
            run_step(definitions, instance, ["training_sets"], FREE_VARIANTS)
        except BaseException:
            with suppress(ConfigurationError, StoreError):  # the cause of the failure is reported, not this one
                show_dialogues(deployment, started)
            raise
    show_dialogues(deployment, started)
    show_release(deployment.lake())


def show_dialogues(deployment: Deployment, started: float) -> None:
    """Print what became of the dialogues in the lake, and the best one; nothing where none is scored."""
    lake = deployment.lake()
    if scored := [record.keys for record in scores_of_dialogues(lake)]:
        scores = lake.read(SCORED, scored, ["dialogue_id", "accepted", "rejection_reasons"])
        console.print(summary(lake, scores, deployment.scenarios, time.monotonic() - started))
        show_reasons(scores)
        show_best(lake)


def summary(lake: Lake, scores: pl.DataFrame, scenarios: Scenarios, seconds: float) -> RichTable:
    """Counts of dialogues and tokens, one row per scenario and one for all; `scores` are rows of `scored_dialogues`."""
    columns = ["dialogue_id", "scenario", "status", "prompt_tokens", "completion_tokens"]
    accepted = scores.select("dialogue_id", "accepted")
    dialogues = lake.read(DIALOGUES, columns=columns).join(accepted, on="dialogue_id", how="left")
    table = RichTable(
        title=f"{lake.read(SEEDS, columns=['seed_id']).height} seeds, {seconds:.0f} s", title_justify="left"
    )
    for name in ("scenario", "dialogues", "complete", "accepted", "tokens"):
        table.add_column(name, justify="left" if name == "scenario" else "right")
    names = list(scenarios)
    for name in [*names, "all"]:
        rows = dialogues if name == "all" else dialogues.filter(pl.col("scenario") == name)
        table.add_row(
            scenarios.title(name),
            str(rows.height),
            str((rows["status"] == "complete").sum()),
            str(rows["accepted"].sum()),
            f"{(rows['prompt_tokens'] + rows['completion_tokens']).sum():,}",
            end_section=name == names[-1],
        )
    return table


def show_reasons(scores: pl.DataFrame) -> None:
    """Print the most frequent reasons of rejection in rows of `scored_dialogues`, each with its number of dialogues."""
    reasons = Counter(scores["rejection_reasons"].explode().drop_nulls())
    if reasons:
        console.print(f"Reasons of rejection, by number of dialogues: {reasons_text(reasons)}.", markup=False)


def publish(hub: bool) -> None:
    """Make a release of the accepted dialogues that exist, and print where it is.

    Args:
        hub: push it to the Hugging Face hub too.

    Raises:
        ConfigurationError: a setting is wrong, or none names a repository on the hub.
        StepFailed: names the first cause, such as a gate that did not pass.
    """
    deployment = load_deployment()
    repository = deployment.settings.hub_repository
    if hub and not repository:
        raise ConfigurationError("--hub: no repository is named; set MASTER_HUB_REPOSITORY=namespace/name")
    with open_instance() as instance:
        run_step(build_definitions(deployment), instance, ["boost_qa", *([PUBLISHED_RELEASE] if hub else [])], None)
    show_release(deployment.lake())
    if hub:
        console.print(f"On the hub: {hub_address()}/datasets/{repository}", soft_wrap=True, markup=False)


def show_release(lake: Lake) -> None:
    """Print where the latest release is, what else its dialogues and seeds give, and what can be done next."""
    release = RELEASES.latest(lake)
    where = lake.store.uri(release.folder)
    console.print(f"The release: {where}", soft_wrap=True, markup=False)
    if made := rows_of_other_forms(lake, release):
        console.print(f"It gives {other_forms_text(made)}.", soft_wrap=True, markup=False)
    ui = "make ui" if settings_folder() == PROJECT else "master-dagster ui"
    console.print(f"Next:\n  {ui}    # the runs and every dialogue; the graph: http://localhost:3000/asset-groups")
    console.print(f"  datasets.load_dataset('{where}')    # in Python", soft_wrap=True, markup=False)
