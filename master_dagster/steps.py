"""Steps of the graph as runs of the persistent instance, so that the UI shows them afterwards.

A step that finds everything in the lake makes nothing again.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dagster import DagsterError, DagsterEventType, DagsterInstance, Definitions, ExecuteInProcessResult

from assets.framework.partitions import FREE_VARIANTS, SHARDS, partition_tags
from assets.framework.run_report import WAITING_TAG
from assets.seeds.mirror import mirror_shards
from master_dagster.automation.failures import error_of, first_cause, first_message
from master_dagster.batches import batches_line, open_batches, wait_for_batch
from master_dagster.deployment import Deployment
from master_dagster.settings_folder import settings_folder
from master_dagster.terminal import console
from resources.chat.calls import EndpointUnusable
from resources.configuration import ConfigurationError
from resources.progress import report_progress_to


def open_instance() -> DagsterInstance:
    """The Dagster instance in DAGSTER_HOME, as a context manager.

    Raises:
        ConfigurationError: DAGSTER_HOME is not set or names no folder.
    """
    try:
        return DagsterInstance.get()
    except DagsterError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"Dagster's instance cannot be opened: {reason}\nWrite DAGSTER_HOME=<an absolute path of a folder> into "
            f"{settings_folder() / '.env'}; `master-dagster doctor` checks the rest."
        ) from None


class StepFailed(Exception):
    """A run did not succeed."""


def run_step(
    definitions: Definitions, instance: DagsterInstance, assets: Sequence[str], keys: Sequence[str] | None
) -> bool:
    """Materialise assets and run their checks, in one run. Returns whether partitions wait for batches.

    Args:
        definitions: the code location.
        instance: the instance that records the run.
        assets: names of the assets.
        keys: one partition, or a range by its first and last partition; None for assets without partitions.

    Raises:
        StepFailed: names the step and the first cause.
        KeyboardInterrupt: the run was stopped by Ctrl-C or a signal.
    """
    selected = [key for key in definitions.resolve_asset_graph().get_all_asset_keys() if key.to_user_string() in assets]
    started = time.monotonic()
    names = ", ".join(assets) + (f" {keys[0]}" if keys and len(keys) == 1 else "")
    with progress_shown(names):
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=selected,
            tags={} if keys is None else partition_tags(keys),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    seconds = time.monotonic() - started
    if not result.success:
        failures = [event for event in result.all_events if event.is_step_failure]
        message = first_cause(failures[0]) if failures else _run_error(result)
        if "DagsterExecutionInterruptedError" in message:
            raise KeyboardInterrupt
        raise StepFailed(f"{names} failed in run {result.run_id}:\n{message.strip()}")
    run = instance.get_run_by_id(result.run_id)
    waits = run is not None and WAITING_TAG in run.tags
    checks = result.get_asset_check_evaluations()
    passed = sum(check.passed for check in checks)
    word = "[yellow]waits[/]" if waits else "[green]done[/]"
    console.print(f"  {word} {names:<36} {seconds:6.1f} s   {passed} of {len(checks)} checks passed")
    for check in checks:
        if not check.passed:
            line = f"       check {check.check_name} failed: {check.description or 'see the asset in the UI'}"
            console.print(line, style="yellow", markup=False, soft_wrap=True)
    return waits


def _run_error(result: ExecuteInProcessResult) -> str:
    """Why a run failed before its first step, such as a resource that cannot be opened."""
    ends = [event for event in result.all_events if event.event_type == DagsterEventType.RUN_FAILURE]
    return first_message(error_of(ends[0])) if ends else "see the run in the UI"


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


def materialise_plans(deployment: Deployment, definitions: Definitions, instance: DagsterInstance) -> None:
    """Read the seeds of every source and plan their dialogues."""
    sources = [source.name for source in deployment.seeds.sources]
    run_step(definitions, instance, ["raw_seeds", "seed_embeddings"], sources)
    mirror_shards(deployment.lake(), instance)  # the instance may have been used with another lake
    run_step(definitions, instance, ["dialogue_plans"], instance.get_dynamic_partitions(SHARDS))


def materialise_release(deployment: Deployment, definitions: Definitions, instance: DagsterInstance) -> None:
    """Generate and score the planned dialogues of every scenario, and make a release.

    Where roles are played in batches, it waits for them: after each one, the next run goes on.

    Raises:
        StepFailed: names the step and the first cause.
    """
    scenarios = list(deployment.scenarios)
    shards = instance.get_dynamic_partitions(SHARDS)
    ends = [f"{scenarios[0]}|{shards[0]}", f"{scenarios[-1]}|{shards[-1]}"]
    while run_step(definitions, instance, ["scenario_dialogues", "scored_dialogues"], ends):
        await_batch(deployment)
    run_step(definitions, instance, ["boost_qa"], None)


def await_batch(deployment: Deployment) -> None:
    """Say which batches are open, and wait until one of them ends.

    Raises:
        StepFailed: a provider refuses to say what became of its batches.
    """
    if not (rows := open_batches(deployment.lake().store)):
        return
    console.print(
        f"  {batches_line(rows)}. Ctrl-C ends the waiting, not the batches; the same command goes on.",
        markup=False,
        soft_wrap=True,
    )
    try:
        with progress_shown("the batches"):
            wait_for_batch(deployment)
    except EndpointUnusable as error:
        raise StepFailed(str(error)) from None


def materialise_graph(deployment: Deployment, definitions: Definitions, instance: DagsterInstance) -> None:
    """Materialise every asset from the raw seeds to the training sets that call no model."""
    materialise_plans(deployment, definitions, instance)
    materialise_release(deployment, definitions, instance)
    run_step(definitions, instance, ["training_sets"], FREE_VARIANTS)
