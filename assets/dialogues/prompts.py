"""The prompts of the dialogues' speakers. See `assets.framework.prompts` for what a prompt file is.

Two sets are shipped in `prompts/`: `standard` has instructions only, `by_example` adds worked examples, which very
small models need and which cost large ones tokens and freedom. A profile names the set that suits its models.
"""

from collections.abc import Mapping
from pathlib import Path

from assets.framework.prompts import PromptBook, PromptForm, load_prompt_set, prompt_form

SHIPPED = Path(__file__).parent / "prompts"  # one folder per set
FORMS: Mapping[str, PromptForm] = {
    # error correction; `…_right` where a rule finds that the weak student's result agrees with the reference
    "weak_student": prompt_form("question"),
    "critic_teacher": prompt_form("question answer reference"),
    "critic_teacher_right": prompt_form("question answer", "reference"),
    "strong_student": prompt_form("question answer advice reference"),
    "strong_student_right": prompt_form("question answer advice reference"),
    # debate: the first utterance of A, and every later utterance of A and B
    "debater_opening": prompt_form("question", inline="name"),
    "debater_reply": prompt_form("question transcript", inline="name"),
    "debate_closer": prompt_form("question transcript reference", inline="name"),
    # analogy
    "explaining_teacher": prompt_form("question"),
    "analogy_student": prompt_form("question explanation reference"),
    "similar_question": prompt_form("question", plain=True),
    "analogy_student_again": prompt_form("question reference", "explanation first_question first_answer"),
}


def load_dialogue_prompts(name_or_folder: str) -> PromptBook:
    """The speakers' prompts of a shipped set, or of a folder of the user's own. See `load_prompt_set` for errors."""
    return load_prompt_set(name_or_folder, FORMS, [SHIPPED])
