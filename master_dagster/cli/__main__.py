"""The command line: `python -m master_dagster.cli <command>`."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from master_dagster.cli import estimate, migrate_lake, settings_reference
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError

COMMANDS = {  # each module has `SUMMARY`, `add_arguments` and `run`
    "estimate": estimate,
    "migrate-lake": migrate_lake,
    "settings-reference": settings_reference,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code, which is 1 where a setting is wrong or the lake cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m master_dagster.cli", description="Commands of MASTER on Dagster.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.SUMMARY, description=command.SUMMARY))
    given = parser.parse_args(arguments)
    try:
        COMMANDS[given.command].run(given)
    except (ConfigurationError, StoreError) as error:
        Console(highlight=False).print(str(error), markup=False, style="red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
