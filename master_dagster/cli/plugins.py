"""`plugins`: the installed plug-ins."""

import argparse

from rich.console import Console

from master_dagster.settings import PLUGIN_GROUPS
from resources.plugins import check_plugins

SUMMARY = "list the installed plug-ins"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no arguments."""


def run(given: argparse.Namespace) -> None:
    """Print each group with its plug-ins.

    Raises:
        ConfigurationError: some plug-ins cannot be used.
    """
    console = Console(highlight=False)
    for group in PLUGIN_GROUPS:
        lines = [f"  {plugin}: {group.describe(plugin.value)}" for plugin in group.plugins.values()]
        console.print("\n".join([group.name, *(lines or ["  none"])]), markup=False, soft_wrap=True)
    check_plugins(PLUGIN_GROUPS)
