"""All prompts of a profile: the judge's, which are this stage's own, and those of the dialogues' speakers."""

from collections.abc import Mapping
from pathlib import Path

from assets.dialogues import prompts as dialogues
from assets.framework.prompts import PromptBook, PromptForm, load_prompt_set, prompt_form

JUDGE = "judge"
SHIPPED = Path(__file__).parent / "prompts"  # one folder per set
FORMS: Mapping[str, PromptForm] = {
    **dialogues.FORMS,
    JUDGE: prompt_form("question reference dialogue", inline="scenario"),
}


def load_prompts(name_or_folder: str) -> PromptBook:
    """All prompts of a shipped set (`standard`, `by_example`), or of a folder of the user's own.

    Raises:
        ConfigurationError: there is neither, or the prompts cannot be used.
    """
    return load_prompt_set(name_or_folder, FORMS, [dialogues.SHIPPED, SHIPPED])
