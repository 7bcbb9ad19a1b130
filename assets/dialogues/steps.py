"""A scenario is a script: a generator that says who speaks next and what that speaker sees.

It is sent back what was said. The script alone decides who speaks when; nothing that a model says can change it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from assets.dialogues.task import Question
from resources.chat.profile import Role


@dataclass(frozen=True, slots=True)
class Posed:
    """A turn that no model is asked for: a question as it stands, or inside the words of a plain prompt."""

    speaker: str
    text: str
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """A turn that a model speaks."""

    speaker: str
    role: Role
    prompt: str
    sees: Mapping[str, str]  # the prompt's values
    answers: Question | None = None  # whose reference the utterance's final answer is compared with
    keeps: Question | None = None  # whose result the speaker is not to tell
    heard: str = ""  # where that result may stand already
    opening: str = ""  # what the speaker says before, without a model
    one_paragraph: bool = False  # line breaks outside of code become spaces


Script: TypeAlias = Generator[Posed | Spoken, str, None]
