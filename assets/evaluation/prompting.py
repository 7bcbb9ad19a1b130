"""What is sent: prompts as text files, filled in. Each is one user message, which is the shape of the training sets.

Question and options stand in a prompt as they are, for they are all that the message holds; what a model said and is
shown to another model stands inside a fence. Chat-template tokens are disarmed in both.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from assets.dialogues.prompts import disarmed, fenced
from assets.evaluation.configuration import Kind
from assets.evaluation.questions import Question
from resources.chat.calls import Message
from resources.identity import stable_hash

FOLDER = Path(__file__).parent / "prompts"
NAMES = ("multiple_choice", "judged", "code", "code_completion", "review", "correction", "judge")
WITH_FENCES = ("review", "judge")  # here the values stand beside instructions
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


def read_prompts() -> Mapping[str, str]:
    """The prompt files, name to text."""
    return {name: (FOLDER / f"{name}.txt").read_text(encoding="utf-8").strip() for name in NAMES}


PROMPTS = read_prompts()


def prompts_version(*names: str) -> str:
    """Hash of these prompt files."""
    return stable_hash("evaluation prompts", [[name, PROMPTS[name]] for name in sorted(names)])[:16]


def filled(name: str, /, **values: str) -> str:
    """A prompt file's text with its placeholders filled in."""

    def value(match: re.Match[str]) -> str:
        text = disarmed(values[match[1]])
        return fenced(text) if name in WITH_FENCES else text

    return _PLACEHOLDER.sub(value, PROMPTS[name])


def asked(question: Question, kind: Kind) -> str:
    """The one message that asks a question."""
    if kind == "multiple_choice":
        options = "\n".join(f"[{option.label}] {option.text}" for option in question.options)
        return filled("multiple_choice", question=question.text, options=options)
    if kind == "judged":
        return filled("judged", question=question.text)
    if question.start:
        return filled("code_completion", question=question.start)
    return filled("code", question=question.text, name=question.entry_point)


def example_answer(question: Question, kind: Kind) -> str:
    """What a shot answers."""
    ending = f"[{question.reference}]" if kind == "multiple_choice" else rf"\boxed{{{question.reference}}}"
    return f"{question.worked}\n{ending}" if question.worked else ending


def question_messages(question: Question, shots: tuple[Question, ...], kind: Kind) -> tuple[Message, ...]:
    """The conversation that ends with the question: shots, as turns that were answered, and itself.

    One that comes with its messages is asked in these, as lm-eval's are.
    """
    if question.messages:
        return question.messages
    turns = [
        message
        for shot in shots
        for message in (Message("user", asked(shot, kind)), Message("assistant", example_answer(shot, kind)))
    ]
    return (*turns, Message("user", asked(question, kind)))


def as_text(messages: tuple[Message, ...]) -> str:
    """Messages for the table: each headed by its role in brackets."""
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)


def prompt_hash(messages: tuple[Message, ...]) -> str:
    """Hash of what is sent."""
    return stable_hash("messages", [[message.role, message.content] for message in messages])
