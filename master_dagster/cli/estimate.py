"""`estimate`: what the chosen partitions would cost, before any money is spent."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table as RichTable

from assets.dialogues.estimate import Estimate
from assets.judge_calibration.estimate import CalibrationEstimate
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.estimates import calibration_line, headline, planned_estimates, role_rows, server_line
from master_dagster.terminal import console, print_json


def print_estimate(patterns: Sequence[str], as_json: bool) -> None:
    """Print the estimate of the planned partitions that match one of the patterns, or of all.

    Raises:
        ConfigurationError: a setting is wrong, nothing is planned, or no partition matches.
    """
    deployment = load_deployment()
    estimate, calibration = estimate_planned(deployment, patterns)
    if as_json:
        items = {"dialogues": calibration.dialogues, "items": calibration.items}
        print_json(
            {"profile": deployment.profile.name}
            | with_totals(estimate)
            | {"calibration": with_totals(calibration.takes) | items}
        )
    else:
        show_estimate(deployment, estimate)
        console.print(f"{calibration_line(calibration)}.", markup=False, soft_wrap=True)


def estimate_planned(deployment: Deployment, patterns: Sequence[str] = ()) -> tuple[Estimate, CalibrationEstimate]:
    """The estimate of the planned partitions that match one of the patterns, or of all, and of a calibration."""
    return planned_estimates(
        deployment.lake(),
        patterns,
        deployment.scenarios,
        deployment.prompts,
        deployment.profile,
        deployment.quality_rules,
    )


def with_totals(estimate: Estimate) -> dict[str, Any]:
    """An estimate with its sums, for JSON."""
    names = ("calls", "tokens", "cost", "live_cost", "batch_cost")
    return asdict(estimate) | {name: getattr(estimate, name) for name in names}


def show_estimate(deployment: Deployment, estimate: Estimate) -> None:
    """Print the estimate in one sentence and, where calls are due, a table of the roles."""
    console.print(f"Profile {deployment.profile.name}: {headline(estimate)}.", markup=False, soft_wrap=True)
    for server in estimate.servers:
        console.print(f"In this, {server_line(server)}.", markup=False, soft_wrap=True)
    if estimate.roles:
        table = RichTable("role", "calls", "tokens")
        for row in role_rows(estimate):
            table.add_row(*row.values())
        console.print(table)
        console.print(
            "(assumed): nothing was measured with this model yet. Answers in the journal of an interrupted run are not "
            "paid for again."
        )
