"""`migrate-lake`: brings the lake to the format of this version."""

import argparse

from rich.console import Console

from master_dagster.settings import load_settings
from resources.lake.format import FORMAT, migrate_lake
from resources.lake.opening import open_store

SUMMARY = "bring the lake of an earlier version to the present format; stop all runs first; safe to repeat"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no arguments: MASTER_LAKE_ROOT names the lake."""


def run(given: argparse.Namespace) -> None:
    """Migrate the lake and print what was done."""
    settings = load_settings()
    moved = migrate_lake(open_store(settings.lake_address, settings.s3))
    console = Console(highlight=False)
    console.print(
        f"The lake at {settings.lake_address} has format {FORMAT}; {moved} files were moved or rewritten.", markup=False
    )
    if moved:
        console.print("Next: launch the job mirror_lake, so that Dagster's record agrees with the lake.")
