"""`show-prompts`: what models would read in planned dialogues, to be read before any money is spent."""

from assets.dialogues.show_prompts import planned_tasks, shown_dialogue
from master_dagster.deployment import load_deployment
from master_dagster.terminal import console
from resources.configuration import ConfigurationError
from resources.outside_text import clean_text


def print_prompts(dialogues: int) -> None:
    """Print the prompts of that many dialogues, spread over sources and scenarios.

    Raises:
        ConfigurationError: a setting is wrong, or nothing is planned.
    """
    deployment = load_deployment()
    tasks = planned_tasks(deployment.lake(), deployment.scenarios, dialogues)
    if not tasks:
        raise ConfigurationError(
            "no dialogue is planned yet: materialise raw_seeds, seed_embeddings and dialogue_plans"
        )
    for task in tasks:
        for text in shown_dialogue(deployment.scenarios, task):
            console.print(f"{clean_text(text)}\n", markup=False, soft_wrap=True)
