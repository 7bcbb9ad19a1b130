"""Calls and completions as bytes: the body of a request, its key in the journal, and the record of its answer."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from resources.chat.calls import Call, Completion, Message
from resources.chat.log_probabilities import scoring_fields
from resources.chat.profile import Endpoint
from resources.chat.replies import read_finish_reason
from resources.chat.role_model import RoleModel
from resources.outside_text import bounded_count, clean_text, parse_json

TOKEN_PARTS = ("cached_tokens", "reasoning_tokens")  # fields of a completion that earlier versions did not have


def request_body(call: Call, model: RoleModel, endpoint: Endpoint) -> bytes:
    """The JSON of one request, exactly as it is sent; that of a log-probability is sent in the server's own form."""
    if call.continuation is not None:
        scoring = scoring_fields(model.model, call.messages[0].content, call.continuation)
        return json.dumps(scoring, separators=(",", ":")).encode()
    messages = call.messages if endpoint.system_role else fold_system(call.messages)
    body: dict[str, Any] = {
        "model": model.model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "temperature": model.temperature,
        "top_p": model.top_p,
        "max_tokens": model.max_tokens,
    }
    if model.max_completion_tokens is not None:
        body["max_completion_tokens"] = model.max_completion_tokens
    if model.reasoning is not None:
        effort = model.reasoning.effort
        body[model.reasoning.field] = effort if model.reasoning.field == "reasoning_effort" else {"effort": effort}
    if model.seed is not None:
        body["seed"] = model.seed + call.regeneration
    if call.json_schema is not None and model.structured_output == "json_schema":
        schema = {"name": "answer", "schema": call.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif call.json_schema is not None and model.structured_output == "json_object":
        body["response_format"] = {"type": "json_object"}
    fields = {**body, **endpoint.extra_body, **model.extra_body}
    body = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(body, separators=(",", ":")).encode()


def without_response_format(body: bytes) -> bytes:
    """A request's body without `response_format`; the same bytes where it has none."""
    fields = json.loads(body)
    fields.pop("response_format", None)
    return json.dumps(fields, separators=(",", ":")).encode()


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages for a model without a system role: the system text begins the first user message."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    if not system:
        return tuple(rest)
    for index, message in enumerate(rest):
        if message.role == "user":
            rest[index] = Message("user", f"{system}\n\n{message.content}")
            return tuple(rest)
    return (Message("user", system), *rest)


def journal_key(endpoint: str, body: bytes, call: Call) -> bytes:
    """A completion's key: a hash of the endpoint's name (never its address), what is sent, and its place."""
    schema = json.dumps(call.json_schema) if call.json_schema is not None else ""
    place = json.dumps([endpoint, call.sample, call.turn, call.regeneration, schema])
    return hashlib.sha256(place.encode() + b"\0" + body).digest()


def encode_completion(completion: Completion) -> bytes:
    """What the journal keeps of a completion: JSON text without line breaks."""
    parts = {name: count for name in TOKEN_PARTS if (count := getattr(completion, name))}
    batch = {"batch": True} if completion.batch else {}
    return json.dumps(
        {
            "text": completion.text,
            "reasoning": completion.reasoning,
            "finish_reason": completion.finish_reason,
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            **parts,
            **batch,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def decode_completion(record: bytes) -> Completion | None:
    """A completion from the journal; None if a field is missing or cannot be used, as in another version's record.

    What an earlier version did not clean is cleaned here, so that a replay never fails where the answer itself did not.
    """
    try:
        fields = parse_json(record)
        reasoning = fields.get("reasoning")
        finish_reason = read_finish_reason(fields["finish_reason"])
        if finish_reason is None:
            return None
        return Completion(
            text=clean_text(fields["text"]),
            reasoning=None if reasoning is None else clean_text(reasoning),
            finish_reason=finish_reason,
            prompt_tokens=bounded_count(fields["prompt_tokens"]) or 0,
            completion_tokens=bounded_count(fields["completion_tokens"]) or 0,
            replayed=True,
            **{name: bounded_count(fields.get(name)) or 0 for name in TOKEN_PARTS},
            batch=fields.get("batch") is True,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
