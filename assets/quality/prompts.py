"""The judge's prompt."""

from pathlib import Path

from assets.framework.prompts import PromptBook, load_prompt_set, prompt_form

JUDGE = "judge"
SHIPPED = Path(__file__).parent / "prompts"  # one folder per set


def load_prompts(name_or_folder: str) -> PromptBook:
    """The judge's prompt of a shipped set (`standard`, `by_example`), or of a folder of the user's own.

    Raises:
        ConfigurationError: there is neither, or the prompt cannot be used.
    """
    forms = {JUDGE: prompt_form("question reference dialogue rubric", inline="scenario rubric flags")}
    return load_prompt_set(name_or_folder, forms, [SHIPPED])
