"""`status`: what is done, due, failed and spent."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from rich.table import Table as RichTable

from assets.boost_qa.release import RELEASES
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import Estimate
from assets.evaluation.schema import BENCHMARK_SCORES
from assets.framework.partition_run import shown_keys
from assets.quality.partition_status import PartitionStatus, partition_statuses
from assets.quality.schema import SCORED
from assets.seeds.schema import REJECTS, SEEDS
from assets.spending.spending import read_rows
from assets.spending.summary import spent_text, totals
from assets.training_programs.specification import HOME as CHECKPOINTS
from assets.training_sets.summary import other_forms_text, rows_of_other_forms
from master_dagster.automation.nightly import IN_PROGRESS, RECENT
from master_dagster.batches import batches_line, open_batches
from master_dagster.cli.estimate import estimate_planned, with_totals
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.estimates import headline
from master_dagster.maintenance.dead_runs import as_utc, find_dead_runs
from master_dagster.steps import open_instance
from master_dagster.terminal import console, print_json
from resources.lake.published_folders import LATEST
from resources.lake.tables import Lake

SHOWN = 5  # reasons
STATES = ("current", "missing", "stale", "failed")
COUNTS = """
    SELECT scenario, count(*), count(*) FILTER (accepted) FROM scored_dialogues GROUP BY scenario
"""
REASONS = """
    SELECT reason, count(*) AS dialogues
    FROM (SELECT unnest(rejection_reasons) AS reason FROM scored_dialogues WHERE NOT accepted)
    GROUP BY reason ORDER BY dialogues DESC, reason
"""
Status = Mapping[str, Any]


def print_status(as_json: bool) -> None:
    """Print the status of the configured lake and instance. Writes nothing.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    deployment = load_deployment()
    status = lake_status(deployment)
    if os.environ.get("DAGSTER_HOME"):
        with open_instance() as instance:
            status |= {"runs": runs_status(instance, datetime.now(UTC))}
    estimate = estimate_planned(deployment)[0] if status["partitions"] else None
    if as_json:
        print_json(status | {"due": with_totals(estimate) if estimate else None})
    else:
        show_status(deployment, status, estimate)


def lake_status(deployment: Deployment) -> dict[str, Any]:
    """What the lake has, as plain data. Reads its index, footers, and some columns."""
    lake = deployment.lake()
    statuses = partition_statuses(lake, deployment.expected())
    release = RELEASES.find_latest(lake)
    return {
        "lake": lake.store.root,
        "seeds": seeds_status(lake, deployment.seeds.source_names),
        "partitions": partitions_status(statuses, deployment.scenarios),
        "failed": [one.key for one in statuses if one.why == "failed"],
        **dialogues_status(lake),
        "spent": totals(read_rows(lake)),
        "batches": open_batches(lake.store),
        "release": {
            "id": release.id,
            "made_at": release.manifest["made_at"],
            "rows": release.manifest["rows"],
            "folder": lake.store.uri(release.folder),
        }
        if release
        else None,
        "training_sets": rows_of_other_forms(lake, release) if release else {},
        "checkpoints": [
            "|".join(file.path.split("/")[1:-1])
            for file in lake.store.list(CHECKPOINTS)
            if file.path.endswith(f"/{LATEST}")
        ],
        "scores": [record.name for record in lake.records(BENCHMARK_SCORES)],
    }


def seeds_status(lake: Lake, sources: Iterable[str]) -> list[dict[str, Any]]:
    """Seeds, rejected rows, shards and planned shards of each configured source."""
    seeds, rejects = lake.records(SEEDS), lake.records(REJECTS)
    planned = {record.keys["shard"] for record in lake.records(DIALOGUE_PLANS)}
    rows = []
    for source in sources:
        shards = [record for record in seeds if record.keys["source"] == source]
        rows.append(
            {
                "source": source,
                "seeds": sum(record.rows for record in shards),
                "rejected_rows": sum(record.rows for record in rejects if record.keys["source"] == source),
                "shards": len(shards),
                "planned_shards": sum(record.keys["shard"] in planned for record in shards),
            }
        )
    return rows


def partitions_status(statuses: Iterable[PartitionStatus], scenarios: Iterable[str]) -> dict[str, dict[str, int]]:
    """How many partitions of each scenario are in each state; nothing where no partition is planned."""
    found: Counter[tuple[str, str]] = Counter((one.scenario, one.why or "current") for one in statuses)
    return {name: {state: found[name, state] for state in STATES} for name in scenarios} if found else {}


def dialogues_status(lake: Lake) -> dict[str, Any]:
    """Scored dialogues of each scenario, and the rejection reasons, the most frequent first."""
    with lake.connect([SCORED]) as connection:
        counts = connection.execute(COUNTS).fetchall()
        reasons = connection.execute(REASONS).fetchall()
    return {
        "dialogues": {name: {"scored": scored, "accepted": accepted} for name, scored, accepted in counts},
        "rejection_reasons": dict(reasons),
    }


def runs_status(instance: DagsterInstance, now: datetime) -> dict[str, Any]:
    """Dagster's runs in progress, those whose process is gone, and those that failed within seven days."""
    dead = {run.run_id for run in find_dead_runs(instance, now)}
    in_progress = [
        {
            "run": record.dagster_run.run_id,
            "status": record.dagster_run.status.value,
            "since": as_utc(record.create_timestamp).isoformat(timespec="seconds"),
        }
        for record in instance.get_run_records(RunsFilter(statuses=IN_PROGRESS))
        if record.dagster_run.run_id not in dead
    ]
    failed = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=now - RECENT))
    return {"in_progress": in_progress, "dead": sorted(dead), "failed": [run.run_id for run in failed]}


def show_status(deployment: Deployment, status: Status, estimate: Estimate | None) -> None:
    """Print the status for people."""

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, soft_wrap=True)

    line(f"Lake {status['lake']}, profile {deployment.profile.name}")
    for one in status["seeds"]:
        unplanned = one["shards"] - one["planned_shards"]
        rest = f", {unplanned} shards not planned" if unplanned else ""
        line(f"Seeds of {one['source']}: {one['seeds']:,} ({one['rejected_rows']:,} rows rejected{rest})")
    if status["partitions"]:
        console.print(scenarios_table(deployment, status))
    reasons = list(status["rejection_reasons"].items())[:SHOWN]
    if reasons:
        line(f"Rejected most: {', '.join(f'{name} {number:,}' for name, number in reasons)}")
    if status["failed"]:
        line(f"Failed: {shown_keys(status['failed'])}. Their runs in the UI say why.", "red")
    line(f"Spent: {spent_text(status['spent'])}")
    if status["batches"]:
        line(f"Batches: {batches_line(status['batches'])}")
    release: Mapping[str, Any] | None = status["release"]
    if release:
        rows = ", ".join(f"{number:,} {split}" for split, number in release["rows"].items())
        line(f"Release {release['id']}, {release['made_at'][:16].replace('T', ' ')} UTC, {rows}: {release['folder']}")
    else:
        line("Release: none")
    if status["training_sets"]:
        line(f"Training sets beside its conversations: {other_forms_text(status['training_sets'])}")
    for name in ("checkpoints", "scores"):
        line(f"{name.capitalize()}: {shown_keys(status[name]) or 'none'}")
    _show_runs(line, status.get("runs"))
    if estimate and estimate.partitions:
        line(f"Due: {headline(estimate)}")
    if not release or (estimate and estimate.partitions):
        line("Next: master-dagster run")
    else:
        line("Next: master-dagster open")


def scenarios_table(deployment: Deployment, status: Status) -> RichTable:
    """Partitions by state, and dialogues, one row per scenario."""
    table = RichTable()
    for name in ("scenario", *STATES, "scored", "accepted"):
        table.add_column(name, justify="left" if name == "scenario" else "right")
    for name, partitions in status["partitions"].items():
        dialogues = status["dialogues"].get(name, {"scored": 0, "accepted": 0})
        numbers = [*partitions.values(), *dialogues.values()]
        table.add_row(deployment.scenarios.title(name), *(f"{number:,}" for number in numbers))
    return table


def _show_runs(line: Any, runs: Status | None) -> None:
    if runs is None:
        line("Runs: DAGSTER_HOME is not set, so Dagster's runs are not known", "yellow")
        return
    line(f"Runs in progress: {shown_keys([one['run'] for one in runs['in_progress']]) or 'none'}")
    if runs["dead"]:
        line(f"Runs whose process is gone: {shown_keys(runs['dead'])}. The next run marks them as failed.", "yellow")
    if runs["failed"]:
        line(
            f"Runs that failed within {RECENT.days} days: {len(runs['failed'])}, the latest {runs['failed'][0]}",
            "yellow",
        )
