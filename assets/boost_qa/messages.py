"""Conversations as messages with roles, and with the loss flag of each message as other programs read it."""

from collections.abc import Iterator, Mapping
from typing import Any

ROLES = {"human": "user", "gpt": "assistant"}
Message = dict[str, Any]


def messages_of(row: Mapping[str, Any]) -> Iterator[tuple[Message, bool]]:
    """The messages of a row of `RELEASE_ROW`, its system prompt first, each with whether it carries loss."""
    if row["system"]:
        yield {"role": "system", "content": row["system"]}, False
    for turn, trains in zip(row["conversations"], row["trains"], strict=True):
        yield {"role": ROLES[turn["from"]], "content": turn["value"]}, trains


def openai_line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line as OpenAI's fine-tuning reads it: `weight` 0 or 1, on assistant messages alone."""
    return {
        "messages": [
            message | ({"weight": int(trains)} if message["role"] == "assistant" else {})
            for message, trains in messages_of(row)
        ]
    }
