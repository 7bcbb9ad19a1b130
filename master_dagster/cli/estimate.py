"""`estimate`: what the chosen partitions would cost, before any money is spent.

python -m master_dagster.cli estimate                          every planned partition
python -m master_dagster.cli estimate 'debate|*' '*|x-0003'    those whose key matches one of the patterns
"""

import argparse

from rich.console import Console
from rich.table import Table as RichTable

from assets.quality.estimate import dry_run
from master_dagster.estimates import headline, matching_partitions, role_rows
from master_dagster.settings import load_deployment

SUMMARY = "estimate calls, tokens, US dollars and hours of dialogues that are not current; calls no model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("partitions", nargs="*", help="keys or shell patterns, such as 'debate|*'; all by default")


def run(given: argparse.Namespace) -> None:
    """Print the estimate.

    Raises:
        ConfigurationError: a setting is wrong, nothing is planned, or no partition matches.
    """
    console = Console(highlight=False)
    deployment = load_deployment()
    lake = deployment.lake()
    keys = matching_partitions(lake, deployment.scenarios, given.partitions)
    estimate = dry_run(
        lake, keys, deployment.scenarios, deployment.prompts, deployment.profile, deployment.quality_rules
    )
    console.print(f"Profile {deployment.profile.name}: {headline(estimate)}.")
    if estimate.roles:
        table = RichTable("role", "calls", "tokens")
        for row in role_rows(estimate):
            table.add_row(*row.values())
        console.print(table)
        console.print(
            "(assumed): nothing was measured with this model yet. Answers in the journal of an interrupted run are not "
            "paid for again."
        )
