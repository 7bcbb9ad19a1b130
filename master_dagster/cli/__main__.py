"""The command line: `python -m master_dagster.cli <command>`."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from master_dagster.cli import (
    commands_reference,
    estimate,
    migrate_lake,
    plugins,
    settings_reference,
    show_prompts,
)
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError

COMMANDS = {  # each module has `SUMMARY`, `add_arguments` and `run`
    "estimate": estimate,
    "show-prompts": show_prompts,
    "migrate-lake": migrate_lake,
    "plugins": plugins,
    "settings-reference": settings_reference,
    "commands-reference": commands_reference,
}


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of the command line, and that of each command by name."""
    parser = argparse.ArgumentParser(prog="python -m master_dagster.cli", description="Commands of MASTER on Dagster.")
    subparsers = parser.add_subparsers(dest="command", required=True)
    parsers = {
        name: subparsers.add_parser(name, help=command.SUMMARY, description=command.SUMMARY)
        for name, command in COMMANDS.items()
    }
    for name, command in COMMANDS.items():
        command.add_arguments(parsers[name])
    return parser, parsers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code, which is 1 where a setting is wrong or the lake cannot be used."""
    parser, parsers = build_parser()
    given = parser.parse_args(arguments)
    given.parsers = parsers
    try:
        COMMANDS[given.command].run(given)
    except (ConfigurationError, StoreError) as error:
        Console(highlight=False).print(str(error), markup=False, style="red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
