"""The steps of a scenario: a generator that yields the next turn and is sent the turn's text.

The steps alone decide who speaks when and what each speaker sees; nothing that a model says can change it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from assets.dialogues.questions import Question
from resources.chat.profile import Role


@dataclass(frozen=True, slots=True)
class FixedTurn:
    """A turn without a model call: a question as it is, or inside the text of a plain prompt."""

    speaker: str
    text: str
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """A turn that a model writes."""

    speaker: str
    role: Role
    prompt: str
    sees: Mapping[str, str]  # the prompt's values
    answers: Question | None = None  # the utterance's final answer is compared with this question's reference
    must_not_answer: Question | None = None  # the speaker must not state this question's result
    said_before: str = ""  # text that may state that result already
    opening: str = ""  # text before the utterance, without a model
    one_paragraph: bool = False  # line breaks outside of code become spaces


Steps: TypeAlias = Generator[FixedTurn | ModelTurn, str, None]
