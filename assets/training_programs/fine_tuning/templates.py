"""Chat templates, one file per model family. `{% generation %}` marks what carries loss: the assistant's tokens with
the end of its turn.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.training_programs.fine_tuning.errors import TrainingProgramError

FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Family:
    """What a template needs from a tokenizer."""

    tokens: tuple[str, ...]  # each has to be one token
    end: str  # of a turn: what the tuned model is to stop at


FAMILIES = {
    "chatml": Family(("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
    "llama3": Family(("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "<|eot_id|>"),
    "mistral": Family(("<s>", "</s>"), "</s>"),
}


def read_template(name: str) -> str:
    """The template's text."""
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


def set_chat_template(tokenizer: Any, name: str) -> None:
    """Give a tokenizer the template of that name and let it stop at the end of a turn.

    Raises:
        TrainingProgramError: the tokenizer lacks tokens of the template.
    """
    family = FAMILIES[name]
    vocabulary = tokenizer.get_vocab()
    missing = [
        token
        for token in family.tokens
        if token not in vocabulary or tokenizer.encode(token, add_special_tokens=False) != [vocabulary[token]]
    ]
    if missing:
        raise TrainingProgramError(
            f"the base model's tokenizer lacks {', '.join(missing)}, which the template {name!r} is made of; "
            f"give the base model another template ({', '.join(sorted(FAMILIES))})"
        )
    tokenizer.chat_template = read_template(name)
    tokenizer.eos_token = family.end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = family.end
