"""docs/commands.md, from the Makefile and from this command line."""

import re
from pathlib import Path

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from master_dagster.cli.app import app

MAKEFILE = Path(__file__).parents[2] / "Makefile"
TARGET = re.compile(r"^(?P<name>[a-z-]+):[^\n]*?## (?P<help>.+)$", re.MULTILINE)
INTRODUCTION = """\
# Commands

Written by `make docs` from the code; edit the help texts there. Dagster's own commands (`dg launch`, `dg check defs`)
are shown in [Running it](running.md).
"""


def document() -> str:
    """The page as Markdown: `make` targets, then each command's help."""
    targets = TARGET.finditer(MAKEFILE.read_text(encoding="utf-8"))
    lines = [INTRODUCTION, "## make", "", "| command | what it does |", "| --- | --- |"]
    lines += [f"| `make {match['name']}` | {match['help']} |" for match in targets]
    command = get_command(app)
    help_texts = get_docs_for_click(obj=command, ctx=typer.Context(command), name="master-dagster", indent=1)
    return "\n".join([*lines, "", help_texts.strip()]) + "\n"


if __name__ == "__main__":
    typer.echo(document(), nl=False)
