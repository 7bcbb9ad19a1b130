"""`make demo`: materialises the graph from the configured seeds to the training sets, and shows the result.

Every step is a run of the persistent instance, so the UI shows it afterwards. A second call finds everything in the
lake and calls no model.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import polars as pl
from dagster import DagsterInstance, Definitions
from rich.console import Console
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from assets.boost_qa.release import RELEASES
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import SHARDS
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.schema import SCORED
from assets.seeds.mirror import mirror_shards
from assets.seeds.schema import SEEDS
from master_dagster.automation.failures import first_cause
from master_dagster.settings import Deployment, load_deployment
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError
from resources.lake.tables import Lake
from resources.progress import report_progress_to

console = Console(highlight=False)
DEMO_VARIANTS = ("boost_qa", "ori")  # the other training sets serve a full comparison


class StepFailed(Exception):
    """A run of the demo did not succeed."""


def run_step(
    definitions: Definitions, instance: DagsterInstance, assets: Sequence[str], keys: Sequence[str] | None
) -> None:
    """Materialise assets and run their checks, in one run.

    Args:
        definitions: the code location.
        instance: the instance that records the run.
        assets: names of the assets.
        keys: one partition, or a range by its first and last partition; None for assets without partitions.

    Raises:
        StepFailed: names the step and the first cause.
    """
    if keys is None:
        tags: Mapping[str, str] = {}
    elif len(keys) == 1:
        tags = {"dagster/partition": keys[0]}
    else:
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    selected = [key for key in definitions.resolve_asset_graph().get_all_asset_keys() if key.to_user_string() in assets]
    started = time.monotonic()
    names = ", ".join(assets) + (f" {keys[0]}" if keys and len(keys) == 1 else "")
    with progress_shown(names):
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=selected,
            tags=dict(tags),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    seconds = time.monotonic() - started
    if not result.success:
        failures = [event for event in result.all_events if event.is_step_failure]
        message = first_cause(failures[0]) if failures else "see the run in the UI"
        if "DagsterExecutionInterruptedError" in message:
            raise StepFailed(f"{names} was stopped; the same command continues")
        raise StepFailed(f"{names} failed in run {result.run_id}:\n{message.strip()}")
    checks = [evaluation.passed for evaluation in result.get_asset_check_evaluations()]
    console.print(f"  [green]done[/] {names:<36} {seconds:6.1f} s   {sum(checks)} of {len(checks)} checks passed")


@contextmanager
def progress_shown(names: str) -> Iterator[None]:
    """Show a step's progress: a spinner on a terminal; elsewhere one line now and one line per minute.

    Dagster redirects standard output while a step runs, so the lines go to a copy of it.
    """
    if console.is_terminal:
        with console.status(f"{names} …"):
            yield
        return
    console.print(f"  {names} …", markup=False, soft_wrap=True)
    with (
        os.fdopen(os.dup(1), "w", encoding="utf-8") as output,
        report_progress_to(lambda line: print(f"       {line}", file=output, flush=True)),
    ):
        yield


def materialise_graph(deployment: Deployment, definitions: Definitions, instance: DagsterInstance) -> None:
    """Materialise every asset from the raw seeds to the training sets."""
    sources = [source.name for source in deployment.seeds.sources]
    run_step(definitions, instance, ["raw_seeds", "seed_embeddings"], sources)
    mirror_shards(deployment.lake(), instance)  # the instance may have been used with another lake
    shards = instance.get_dynamic_partitions(SHARDS)
    run_step(definitions, instance, ["dialogue_plans"], shards)
    scenarios = list(deployment.scenarios)
    ends = [f"{scenarios[0]}|{shards[0]}", f"{scenarios[-1]}|{shards[-1]}"]
    run_step(definitions, instance, ["scenario_dialogues", "scored_dialogues"], ends)
    run_step(definitions, instance, ["boost_qa"], None)
    run_step(definitions, instance, ["training_sets"], DEMO_VARIANTS)


def summary(lake: Lake, scenarios: Scenarios, seconds: float) -> RichTable:
    """Counts of dialogues and tokens, one row per scenario and one for all."""
    accepted = lake.read(SCORED, columns=["dialogue_id", "accepted"])
    dialogues = lake.read(DIALOGUES).join(accepted, on="dialogue_id", how="left")
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


def show_best(lake: Lake) -> None:
    """Print the best accepted dialogue, or the best rejected one with the reasons of its rejection."""
    scored = lake.read(SCORED).sort("accepted", "quality_score", "dialogue_id", descending=[True, True, False])
    if scored.is_empty():
        console.print("There is no dialogue to show.")
        return
    best = scored.row(0, named=True)
    dialogue = lake.read(DIALOGUES).row(by_predicate=pl.col("dialogue_id") == best["dialogue_id"], named=True)
    body = Text()
    for turn in dialogue["turns"]:
        body.append(f"{turn['speaker']}: ", style="bold")
        body.append(turn["text"].strip() + "\n\n")
    kind = best["scenario"].replace("_", " ")
    if best["accepted"]:
        title = f"The best accepted dialogue ({kind}, score {best['quality_score']:.2f})"
    else:
        reasons = ", ".join(best["rejection_reasons"])
        title = f"No dialogue was accepted. The best rejected one ({kind}): {reasons}"
    console.print(Panel(body[:-2], title=title, title_align="left", border_style="cyan"))


def main() -> int:
    """Run the demo. Returns the exit code, 1 on any failure."""
    started = time.monotonic()
    try:
        deployment = load_deployment()
        from master_dagster.definitions import build_definitions

        lake = deployment.lake()
        profile = deployment.profile
        console.print(
            f"Seeds {deployment.settings.seeds!r}, profile {profile.name!r}. {profile.description}", markup=False
        )
        with DagsterInstance.get() as instance:
            try:
                materialise_graph(deployment, build_definitions(deployment), instance)
            finally:
                if lake.records(SCORED):
                    console.print(summary(lake, deployment.scenarios, time.monotonic() - started))
                    show_best(lake)
        release = RELEASES.latest(lake)
    except (ConfigurationError, StoreError, StepFailed) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    where = lake.store.uri(release.folder)
    console.print(f"The release: {where}", soft_wrap=True)
    console.print("Next:\n  make ui    # the graph, the runs and every dialogue, on http://localhost:3000")
    load = f"import datasets; print(datasets.load_dataset('{where}'))"
    console.print(f'  .venv/bin/python -c "{load}"', soft_wrap=True, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
