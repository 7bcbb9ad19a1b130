"""`commands-reference`: docs/commands.md, written from the Makefile and from this command line."""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

SUMMARY = "print docs/commands.md"
MAKEFILE = Path(__file__).parents[2] / "Makefile"
TARGET = re.compile(r"^(?P<name>[a-z-]+):[^\n]*?## (?P<help>.+)$", re.MULTILINE)
INTRODUCTION = """\
# Commands

Written by `make docs` from the code; edit the help texts there. Dagster's own commands (`dg launch`, `dg check defs`)
are shown in [Running it](running.md).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no arguments."""


def run(given: argparse.Namespace) -> None:
    """Print the page."""
    sys.stdout.write(document(given.parsers))


def document(parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    """The page as Markdown: `make` targets, then each command's help."""
    targets = TARGET.finditer(MAKEFILE.read_text(encoding="utf-8"))
    lines = [INTRODUCTION, "## make", "", "| command | what it does |", "| --- | --- |"]
    lines += [f"| `make {match['name']}` | {match['help']} |" for match in targets]
    lines += ["", "## python -m master_dagster.cli"]
    for name, parser in parsers.items():
        lines += ["", f"### {name}", "", "```", _help(parser), "```"]
    return "\n".join(lines) + "\n"


def _help(parser: argparse.ArgumentParser) -> str:
    """The parser's help, with the same line width in every terminal."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
    return parser.format_help().strip()
