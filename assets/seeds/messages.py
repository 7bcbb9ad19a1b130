"""Reading the messages of a conversation, in the forms that people export."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from assets.seeds.configuration import SourceConfiguration
from assets.seeds.rows import ROLE_KEYS, Unusable, beginning
from resources.chat.reasoning import has_reasoning_marks, split_reasoning

QUESTION_ROLES = ("human", "user", "prompter")
ANSWER_ROLES = ("gpt", "assistant", "model", "chatgpt", "bot", "ai", "bing", "bard")
SYSTEM_ROLES = ("system", "developer")
REASONING_KINDS = ("reasoning", "thinking", "thought", "redacted_thinking")  # roles of messages, types of their parts
TEXT_KEYS = ("content", "value", "text", "parts")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that is followed by an answer, as the messages have it, the answer without reasoning."""

    system: str | None
    earlier: tuple[tuple[str, str], ...]  # the conversation before it: "question" or "answer", and the text
    question: str
    answer: str


def exchanges(value: Any, source: SourceConfiguration) -> Iterator[Exchange]:
    """The first question of a conversation that is followed by an answer; with `multi_turn: all` every such question.

    Only the latter know the conversation before them, which begins with its first question.

    Args:
        value: a list of messages, the same as JSON text, or a mapping of their fields to lists.
        source: the source's configuration, for its roles and for what is done with several turns.

    Raises:
        Unusable: it has another form, or no such pair; or nothing further of it can be used.
    """
    turns = _turns(value, source)
    if source.multi_turn == "set_aside" and sum(kind == "question" for _, kind, _ in turns) > 1:
        raise Unusable("multi_turn", f"several questions in {beginning(value)}")
    unknown = sorted({role for role, kind, _ in turns if kind is None})
    advice = (
        f"; the roles {beginning(', '.join(unknown))} are not known: write `roles: {{question: …, answer: …}}`"
        if unknown
        else ""
    )
    systems: list[str] = []
    earlier: list[tuple[str, str]] = []
    found = is_broken = False
    for (_, kind, text), (_, next_kind, answer) in pairwise([*turns, ("", None, "")]):
        if kind == "system" and text.strip():
            systems.append(text)
        is_broken = is_broken or (kind is None and bool(earlier))
        if (kind, next_kind) == ("question", "answer"):
            if is_broken:
                raise Unusable("unknown_role", f"a message before the question {beginning(text)!r} is not read{advice}")
            found = True
            yield Exchange("\n\n".join(systems) or None, tuple(earlier), text, without_reasoning(answer))
            if source.multi_turn != "all":
                return
        if source.multi_turn == "all" and (kind == "question" or (kind == "answer" and earlier)) and text.strip():
            earlier.append((kind, without_reasoning(text) if kind == "answer" else text))
    if not found:
        raise Unusable("no_pair", f"no question that is followed by an answer{advice}: {beginning(value)}")


def without_reasoning(answer: str) -> str:
    """An answer without the reasoning at its beginning, `<think>…</think>` or the marks of another family of models.

    Raises:
        Unusable: the reasoning has no end, or marks of reasoning are left.
    """
    reasoning, text = split_reasoning(answer)
    if reasoning is not None and not text.strip():
        raise Unusable(
            "reasoning", f"the answer is reasoning without an end, or nothing follows it: {beginning(answer)}"
        )
    if has_reasoning_marks(text):
        raise Unusable("reasoning", f"the answer has marks of reasoning after its beginning: {beginning(text)}")
    return text


def _turns(value: Any, source: SourceConfiguration) -> list[tuple[str, str | None, str]]:
    """Role, kind (question, answer, system; None if the role is not known) and text of each message."""
    given = source.roles
    names = {"question": QUESTION_ROLES, "answer": ANSWER_ROLES, "system": SYSTEM_ROLES, "reasoning": REASONING_KINDS}
    kinds = {role: kind for kind, roles in names.items() for role in roles}
    if given is not None:
        kinds |= {role.casefold(): "question" for role in given.question}
        kinds |= {role.casefold(): "answer" for role in given.answer}
    messages = _messages(value, f"field {source.conversations_field!r}")
    turns = [(role, kinds.get(role.strip().casefold()), text) for role, text in map(_turn, messages)]
    return [turn for turn in turns if turn[1] != "reasoning"]


def _messages(value: Any, where: str) -> list[Mapping[str, Any]]:
    if isinstance(value, str):
        try:
            return _messages(json.loads(value), where)
        except (ValueError, RecursionError):
            raise Unusable(
                "wrong_type", f"{where} is text, and no list of messages as JSON: {beginning(value)}"
            ) from None
    if isinstance(value, Mapping):
        columns = [column for column in value.values() if isinstance(column, list)]
        if columns and len(columns) == len(value) and len({len(column) for column in columns}) == 1:
            return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
        if any(isinstance(node, Mapping) and "message" in node for node in value.values()):
            raise Unusable(
                "wrong_type",
                f"{where} is a tree of messages, as ChatGPT exports it; convert each branch to a list of messages with "
                f"role and content: {beginning(value)}",
            )
    if not isinstance(value, list) or not all(isinstance(message, Mapping) for message in value):
        raise Unusable(
            "wrong_type", f"{where} should be a list of messages, is {type(value).__name__}: {beginning(value)}"
        )
    return value


def _turn(message: Mapping[str, Any]) -> tuple[str, str]:
    role = next((message[key] for key in ROLE_KEYS if message.get(key) is not None), None)
    if not isinstance(role, str):
        raise Unusable("wrong_type", f"a message without a text in {' or '.join(ROLE_KEYS)}: {beginning(message)}")
    key, content = next(((key, message[key]) for key in TEXT_KEYS if message.get(key) is not None), ("content", ""))
    parts = content if isinstance(content, list) else [content]
    parts = [part for part in parts if not (isinstance(part, Mapping) and part.get("type") in REASONING_KINDS)]
    return role, "\n".join(_part(part, f"the {role} message's {key!r}") for part in parts)


def _part(part: Any, where: str) -> str:
    text = part.get("text") if isinstance(part, Mapping) else part
    if isinstance(text, str):
        return text
    kind = f"a part of type {beginning(part.get('type'))}" if isinstance(part, Mapping) else type(part).__name__
    raise Unusable("wrong_type", f"{where} should be text, is {kind}: {beginning(part)}")
