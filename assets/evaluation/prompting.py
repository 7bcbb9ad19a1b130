"""The messages that are sent: prompts as text files, filled in. A question is one user message after a system message.

A prompt holds question and options as they are, for the message holds nothing else. What a model wrote and another
model reads is put inside a fence. Chat-template tokens are escaped in both.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.framework.prompts import disarmed, fenced
from resources.chat.calls import Message
from resources.identity import stable_hash

FOLDER = Path(__file__).parent / "prompts"
NAMES = ("student", "multiple_choice", "judged", "code", "code_completion", "review", "correction", "judge")
WITH_FENCES = ("review", "judge")  # in these the values are beside instructions
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


def question_prompt(question: BenchmarkQuestion) -> str:
    """The one message that asks a question."""
    if question.options:
        options = "\n".join(f"[{option.label}] {option.text}" for option in question.options)
        return filled("multiple_choice", question=question.text, options=options)
    if question.start:
        return filled("code_completion", question=question.start)
    if question.entry_point:
        return filled("code", question=question.text, name=question.entry_point)
    return filled("judged", question=question.text)


def shot_answer(question: BenchmarkQuestion) -> str:
    """What a shot answers. Code is asked without shots."""
    ending = f"[{question.reference}]" if question.options else rf"\boxed{{{question.reference}}}"
    return f"{question.worked}\n{ending}" if question.worked else ending


def question_messages(question: BenchmarkQuestion, shots: tuple[BenchmarkQuestion, ...]) -> tuple[Message, ...]:
    """The conversation that ends with the question: the system message, shots as answered turns, and the question.

    No prompt asks for steps: how long models answer is a result (METHOD: what the paper measured).

    A question that has its own messages, as those of lm-eval have, is asked in these.
    """
    if question.messages:
        return question.messages
    turns = [
        message
        for shot in shots
        for message in (Message("user", question_prompt(shot)), Message("assistant", shot_answer(shot)))
    ]
    return (Message("system", PROMPTS["student"]), *turns, Message("user", question_prompt(question)))


def as_text(messages: tuple[Message, ...]) -> str:
    """Messages for the table: each headed by its role in brackets."""
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)


def prompt_hash(messages: tuple[Message, ...]) -> str:
    """Hash of what is sent."""
    return stable_hash("messages", [[message.role, message.content] for message in messages])
