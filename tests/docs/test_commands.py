"""Commands in README and docs: each one exists with its options, and those on the first page are run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from dagster import AssetKey
from typer.core import TyperGroup

from master_dagster.cli.app import app
from master_dagster.definitions import defs

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
FENCED = re.compile(r"(?P<mark><!-- run -->\n)?^```\w*\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
SECONDS = 600  # no block takes so long, on however busy a machine


def commands() -> Iterator[tuple[str, str]]:
    """The page and the line of each command of ours, of `dg launch` and of make; continued lines are joined."""
    for page in PAGES:
        for block in FENCED.finditer(page.read_text(encoding="utf-8")):
            for line in block["lines"].replace("\\\n", " ").splitlines():
                command = re.sub(r"^\s*(\.venv/bin/)?", "", line)
                if command.startswith(("master-dagster ", "launch ", "dg launch ", "make ")):
                    yield page.name, command


@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_a_command_exists_with_its_options(page: str, command: str) -> None:
    program, *arguments = shlex.split(command, comments=True)
    if program == "make":
        assert set(arguments[:1]) <= set(TARGET.findall((PROJECT / "Makefile").read_text()))
    elif program == "master-dagster":
        group = typer.main.get_command(app)
        assert isinstance(group, TyperGroup)
        group.commands[arguments[0]].make_context(arguments[0], arguments[1:])  # raises where an option is wrong
    elif "--assets" in arguments:
        names = arguments[arguments.index("--assets") + 1].split(",")
        assert {AssetKey(name) for name in names} <= set(defs.resolve_asset_graph().get_all_asset_keys())


@pytest.mark.embedded
@pytest.mark.slow
def test_the_commands_of_the_first_page_run_in_their_order(tmp_path: Path, embedded_folders: None) -> None:
    demo = (PROJECT / "assets" / "seeds" / "demo" / "demo_math.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "questions.jsonl").write_text("".join(demo[:4]))
    blocks = [block["lines"] for block in FENCED.finditer((PROJECT / "docs" / "index.md").read_text()) if block["mark"]]
    assert len(blocks) > 2
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "DAGSTER_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        [shutil.which("bash") or "bash", "-euxc", "\n".join(blocks)],
        cwd=tmp_path,
        env={**inherited, "PATH": path, "PYTHONPATH": str(PROJECT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stdout
    for line in ("Nothing was written to the lake", "The release: "):
        assert line in ended.stdout
