"""Calls and completions as bytes: the body of a request, the key it is kept under, the record of its answer."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from resources.chat.calls import Call, Completion, Message
from resources.chat.profile import Endpoint, RoleModel


def request_body(call: Call, cast: RoleModel, endpoint: Endpoint) -> bytes:
    """The JSON of one request, exactly as it is sent."""
    messages = call.messages if endpoint.system_role else fold_system(call.messages)
    body: dict[str, Any] = {
        "model": cast.model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "temperature": cast.temperature,
        "top_p": cast.top_p,
        "max_tokens": cast.max_tokens,
    }
    if cast.seed is not None:
        body["seed"] = cast.seed + call.regeneration
    if call.json_schema is not None and cast.structured_output == "json_schema":
        form = {"name": "answer", "schema": call.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    elif call.json_schema is not None and cast.structured_output == "json_object":
        body["response_format"] = {"type": "json_object"}
    extra = {**endpoint.extra_body, **cast.extra_body}
    if extra:
        body = {name: value for name, value in {**body, **extra}.items() if value is not None}
    return json.dumps(body, separators=(",", ":")).encode()


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages for a model without a system role: the system text heads the first user message."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    if not system:
        return tuple(rest)
    for place, message in enumerate(rest):
        if message.role == "user":
            rest[place] = Message("user", f"{system}\n\n{message.content}")
            return tuple(rest)
    return (Message("user", system), *rest)


def journal_key(endpoint: str, body: bytes, call: Call) -> bytes:
    """What a completion is kept under: the endpoint's name (never its address), what is sent, and its place."""
    schema = json.dumps(call.json_schema) if call.json_schema is not None else ""
    place = json.dumps([endpoint, call.sample, call.turn, call.regeneration, schema])
    return hashlib.sha256(place.encode() + b"\0" + body).digest()


def encode_completion(completion: Completion) -> bytes:
    """What the journal keeps of a completion."""
    return json.dumps(
        {
            "text": completion.text,
            "reasoning": completion.reasoning,
            "finish_reason": completion.finish_reason,
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def decode_completion(kept: bytes) -> Completion | None:
    """A completion from the journal; None where another version's record lacks what is needed here."""
    try:
        record = json.loads(kept)
        return Completion(
            text=record["text"],
            reasoning=record.get("reasoning"),
            finish_reason=record["finish_reason"],
            prompt_tokens=record["prompt_tokens"],
            completion_tokens=record["completion_tokens"],
            replayed=True,
        )
    except (ValueError, TypeError, KeyError):
        return None
