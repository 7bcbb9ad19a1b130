"""docs/commands.md is written from the Makefile and the command line."""

from pathlib import Path

import typer

from master_dagster.cli.app import app
from master_dagster.cli.commands_reference import MAKEFILE, document

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run `make docs`"


def test_every_command_and_every_target_is_on_the_page() -> None:
    page = document()
    targets = [
        line.split(":")[0] for line in MAKEFILE.read_text().splitlines() if " ## " in line and not line.startswith("\t")
    ]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in targets if f"`make {name}`" not in page] == []
    assert [name for name, command in commands.items() if not command.hidden and f"`{name}`" not in page] == []
    assert [name for name, command in commands.items() if not command.hidden and not command.epilog] == []
