"""What commands print, and what they ask."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console

from resources.configuration import ConfigurationError

console = Console(highlight=False)
error_console = Console(highlight=False, stderr=True)  # not among the lines that a program reads


def print_json(content: Mapping[str, Any]) -> None:
    """Print an object as JSON, dates and paths as text."""
    console.out(json.dumps(content, indent=2, ensure_ascii=False, default=str), highlight=False)


def confirm(yes: bool) -> None:
    """Ask whether to go on, unless the answer was given with `--yes`.

    Raises:
        ConfigurationError: there is no terminal to ask on.
        Exit: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("there is no terminal to ask on: give --yes to go on")
    if not typer.confirm("Go on?"):
        console.print("Stopped before the next step. The same command continues.")
        raise typer.Exit
