"""Reading the messages of a conversation, in the forms that people export."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from assets.seeds.configuration import SourceConfiguration
from assets.seeds.rows import ROLE_KEYS, Unusable, beginning

QUESTION_ROLES = ("human", "user", "prompter")
ANSWER_ROLES = ("gpt", "assistant", "model", "chatgpt", "bot", "ai", "bing", "bard")
SYSTEM_ROLES = ("system", "developer")
TEXT_KEYS = ("content", "value", "text", "parts")


def messages_pair(value: Any, source: SourceConfiguration) -> tuple[str | None, str, str]:
    """The system prompt, the first question that is followed by an answer, and the answer.

    Args:
        value: a list of messages, the same as JSON text, or a mapping of their fields to lists.
        source: the source's configuration, for its roles and for what is done with several turns.

    Raises:
        Unusable: it has another form, or no such pair.
    """
    given = source.roles
    names = {"question": QUESTION_ROLES, "answer": ANSWER_ROLES, "system": SYSTEM_ROLES}
    kinds = {role: kind for kind, roles in names.items() for role in roles}
    if given is not None:
        kinds |= {role.casefold(): "question" for role in given.question}
        kinds |= {role.casefold(): "answer" for role in given.answer}
    messages = _messages(value, f"field {source.conversations_field!r}")
    turns = [(role, kinds.get(role.strip().casefold()), text) for role, text in map(_turn, messages)]
    if source.multi_turn == "set_aside" and sum(kind == "question" for _, kind, _ in turns) > 1:
        raise Unusable("multi_turn", f"several questions in {beginning(value)}")
    for at, ((_, kind, question), (_, next_kind, answer)) in enumerate(pairwise(turns)):
        if (kind, next_kind) == ("question", "answer"):
            system = "\n\n".join(text for _, kind, text in turns[:at] if kind == "system" and text.strip())
            return system or None, question, answer
    unknown = sorted({role for role, kind, _ in turns if kind is None})
    advice = (
        f"; the roles {beginning(', '.join(unknown))} are not known: write `roles: {{question: …, answer: …}}`"
        if unknown
        else ""
    )
    raise Unusable("no_pair", f"no question that is followed by an answer{advice}: {beginning(value)}")


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
    return role, "\n".join(_part(part, f"the {role} message's {key!r}") for part in parts)


def _part(part: Any, where: str) -> str:
    text = part.get("text") if isinstance(part, Mapping) else part
    if isinstance(text, str):
        return text
    kind = f"a part of type {beginning(part.get('type'))}" if isinstance(part, Mapping) else type(part).__name__
    raise Unusable("wrong_type", f"{where} should be text, is {kind}: {beginning(part)}")
