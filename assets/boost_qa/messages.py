"""Rows as messages with roles: the lines of the exports, as other programs read them (see docs/train-on-it.md)."""

from collections.abc import Iterator, Mapping
from typing import Any

ROLES = {"human": "user", "gpt": "assistant"}
Message = dict[str, Any]
Line = dict[str, Any]


def messages_of(row: Mapping[str, Any]) -> Iterator[tuple[Message, bool]]:
    """The messages of a row of `RELEASE_ROW`, its system prompt first, each with whether it carries loss."""
    if row["system"]:
        yield {"role": "system", "content": row["system"]}, False
    for turn, trains in zip(row["conversations"], row["trains"], strict=True):
        yield {"role": ROLES[turn["from"]], "content": turn["value"]}, trains and turn["from"] == "gpt"


def messages_line(row: Mapping[str, Any]) -> Line:
    """A conversation: `train` as axolotl reads it, in each message; `message_loss_mask` as NeMo-RL reads it."""
    flagged = list(messages_of(row))
    return {
        "id": row["id"],
        "messages": [message | {"train": trains} for message, trains in flagged],
        "message_loss_mask": [int(trains) for _, trains in flagged],
    }


def openai_line(row: Mapping[str, Any]) -> Line:
    """A conversation as OpenAI's fine-tuning reads it: `weight` 0 or 1, on assistant messages alone."""
    return {
        "messages": [
            message | ({"weight": int(trains)} if message["role"] == "assistant" else {})
            for message, trains in messages_of(row)
        ]
    }


def weighted_line(row: Mapping[str, Any]) -> Line:
    """A conversation as LLaMA-Factory's new trainer (`USE_V1=1`) reads it: `loss_weight` 0 or 1 in each message."""
    return {
        "messages": [
            {
                "role": message["role"],
                "content": [{"type": "text", "value": message["content"]}],
                "loss_weight": float(trains),
            }
            for message, trains in messages_of(row)
        ]
    }


def preference_line(row: Mapping[str, Any]) -> Line:
    """A row of `PREFERENCE_ROW` as LLaMA-Factory and axolotl read it: each answer is one message, not a list."""
    (chosen,), (rejected,) = row["chosen"], row["rejected"]
    return {"id": row["id"], "messages": row["prompt"], "chosen": chosen, "rejected": rejected}


def labelled_line(row: Mapping[str, Any]) -> Line:
    """A row of `LABELLED_ROW` as LLaMA-Factory and axolotl read it: the answer is the last message of one list."""
    return {"id": row["id"], "completion": [*row["prompt"], *row["completion"]], "label": row["label"]}
