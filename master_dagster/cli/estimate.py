"""The dry run as a command: what the chosen partitions would take, before any money is spent.

python -m master_dagster.cli.estimate                          every partition that is planned
python -m master_dagster.cli.estimate 'debate|*' '*|x-0003'    those whose key matches one of the patterns
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from rich.console import Console
from rich.table import Table as RichTable

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import Estimate, dry_run
from assets.framework.partitions import Scenario
from master_dagster.deployment import load_deployment
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError
from resources.lake.tables import Lake


def matching_partitions(lake: Lake, patterns: Sequence[str]) -> list[str]:
    """Keys of the planned partitions that match one of the shell patterns; all of them where there is no pattern.

    Raises:
        ConfigurationError: nothing is planned, or no key matches.
    """
    planned = [
        f"{scenario.value}|{plan.keys['shard']}" for scenario in Scenario for plan in lake.records(DIALOGUE_PLANS)
    ]
    if not planned:
        raise ConfigurationError(
            "no partition is planned yet: materialise raw_seeds, seed_embeddings and dialogue_plans"
        )
    found = [key for key in planned if not patterns or any(fnmatchcase(key, pattern) for pattern in patterns)]
    if not found:
        raise ConfigurationError(
            f"no planned partition matches {' or '.join(patterns)}; keys look like {planned[0]!r} and {planned[-1]!r}"
        )
    return found


def role_rows(estimate: Estimate) -> list[dict[str, str]]:
    """One row a role, for a table: role and model, calls, tokens."""
    return [
        {
            "role": f"{role.role.value} ({role.model})",
            "calls": f"{role.calls:,}",
            "tokens": f"{role.prompt_tokens + role.completion_tokens:,}{'' if role.measured else ' (assumed)'}",
        }
        for role in estimate.roles
    ]


def headline(estimate: Estimate) -> str:
    """The estimate in one sentence."""
    return (
        f"{estimate.dialogues:,} dialogues in {estimate.partitions:,} partitions ({estimate.current:,} more are already "
        f"there): about {estimate.calls:,} calls, {estimate.tokens:,} tokens, ${estimate.cost:,.2f}, "
        f"{_duration(estimate.hours)}"
    )


def _duration(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 2 else f"{max(1, round(60 * hours))} minutes"


def main(arguments: Iterable[str] | None = None) -> int:
    """Print the dry run; the exit code is not 0 where there is nothing to estimate."""
    parser = argparse.ArgumentParser(prog="python -m master_dagster.cli.estimate", description=__doc__.splitlines()[0])
    parser.add_argument("partitions", nargs="*", help="keys or shell patterns, such as 'debate|*'; all by default")
    given = parser.parse_args(list(arguments) if arguments is not None else None)
    console = Console(highlight=False)
    try:
        deployment = load_deployment()
        lake = deployment.lake()
        estimate = dry_run(lake, matching_partitions(lake, given.partitions), deployment.prompts, deployment.profile)
    except (ConfigurationError, StoreError) as error:
        console.print(str(error), markup=False, style="red")
        return 1
    console.print(f"Profile {deployment.profile.name}: {headline(estimate)}.")
    if estimate.roles:
        table = RichTable("role", "calls", "tokens")
        for row in role_rows(estimate):
            table.add_row(*row.values())
        console.print(table)
        console.print(
            "(assumed): nothing was measured with this model yet. What a broken run paid for is not paid again."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
