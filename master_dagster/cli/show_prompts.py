"""`show-prompts`: what models would read in planned dialogues, to be read before any money is spent.

python -m master_dagster.cli show-prompts                of nine dialogues
python -m master_dagster.cli show-prompts 30             of thirty, spread over sources and scenarios
"""

import argparse

from rich.console import Console

from assets.dialogues.show_prompts import planned_tasks, shown_dialogue
from master_dagster.settings import load_deployment
from resources.configuration import ConfigurationError

SUMMARY = "print every prompt of some planned dialogues, with stand-ins for what speakers say; calls no model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("dialogues", nargs="?", type=int, default=9, help="how many dialogues; 9 by default")


def run(given: argparse.Namespace) -> None:
    """Print the prompts.

    Raises:
        ConfigurationError: a setting is wrong, or nothing is planned.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    deployment = load_deployment()
    tasks = planned_tasks(deployment.lake(), deployment.scenarios, given.dialogues)
    if not tasks:
        raise ConfigurationError(
            "no dialogue is planned yet: materialise raw_seeds, seed_embeddings and dialogue_plans"
        )
    for task in tasks:
        for text in shown_dialogue(deployment.scenarios, task):
            console.print(f"{text}\n")
