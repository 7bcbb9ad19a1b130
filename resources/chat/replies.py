"""Reads what an endpoint sent back. Nothing in a reply is trusted: its form is checked, its text is only data."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from resources.chat.calls import CallFailed, Completion
from resources.chat.event_stream import START, read_events
from resources.chat.reasoning import split_reasoning
from resources.chat.redaction import Redactor
from resources.outside_text import MAX_CHARACTERS, bounded_count, clean_line, parse_json

# The finish reasons of all kinds of servers, in OpenAI's words. Under any other reason the answer is not complete.
_FINISH_REASONS = {
    **dict.fromkeys(("stop", "stop_sequence", "eos", "eos_token", "end_turn", "complete", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_length"), "length"),
    **dict.fromkeys(("content_filter", "sensitive", "safety", "recitation", "prohibited_content"), "content_filter"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use"), "tool_calls"),
    "refusal": "refusal",
}
_TEXT_PARTS = ("text", "output_text")
_READ_HEADER = re.compile(rb"(?:retry-after(?:-ms)?|date|location|content-type|x-ratelimit-[a-z-]+)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whatever its status. Every text in it is clean and without the endpoint's key.

    Attributes:
        status: the HTTP status.
        headers: those that are read here, by name in lower case.
        body: the JSON value, that of a stream of events too, or the text of a body that is neither.
        is_json: whether it is a JSON value.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    is_json: bool

    @classmethod
    def read(cls, status: int, headers: Iterable[tuple[bytes, bytes]], content: bytes, redactor: Redactor) -> Self:
        """A reply from what came over the connection."""
        words = {
            name.decode("latin-1").lower(): redactor.text(value.decode("latin-1"))
            for name, value in headers
            if _READ_HEADER.match(name)
        }
        parse = read_events if content.startswith(START) else parse_json
        try:
            return cls(status, words, redactor.value(parse(content)), is_json=True)
        except (ValueError, RecursionError):
            return cls(status, words, redactor.text(content.decode("utf-8", "replace")), is_json=False)

    @property
    def shown(self) -> str:
        """The beginning of the body on one line, for messages."""
        text = json.dumps(self.body, ensure_ascii=False) if self.is_json else self.body
        return clean_line(text) or "(nothing)"


class AttemptFailed(Exception):
    """This attempt had no usable answer; the next one may have.

    Attributes:
        reason: a short code: `unreachable`, `connection_lost`, `timeout`, `server_error`, `malformed_body`,
            `empty_choices`, `empty_message` or `unfinished`.
        detail: what came back, shortened.
        wasted: a body came back and was paid for.
        tokens: what it cost, prompt and completion, where the server reports it.
    """

    def __init__(self, reason: str, detail: str, *, wasted: bool = False, tokens: tuple[int, int] = (0, 0)) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.wasted = wasted
        self.tokens = tokens


class Throttled(Exception):
    """The endpoint is too busy: 429, 529, or 503 that asks to wait.

    Attributes:
        retry_after: seconds that it asked to wait, if it did.
    """

    def __init__(self, detail: str, retry_after: float | None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnusableReply(Exception):
    """No call to this endpoint can succeed.

    Attributes:
        reason: a short code, such as `wrong_key`; `resources.chat.endpoint_client` has advice for each.
        detail: what came back, shortened.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class FormatRefused(CallFailed):
    """The endpoint does not accept a request's `response_format`, if it has one; without it, the call may succeed."""


def read_finish_reason(given: object) -> str | None:
    """A finish reason in OpenAI's words, `stop` where none is given; None where the answer is not complete."""
    return _FINISH_REASONS.get(given.lower()) if isinstance(given, str) and given else "stop"


def read_completion(reply: Reply, prompt_characters: int) -> Completion:
    """The completion in a successful reply.

    Tokens that the server does not count are estimated at four characters each. A text of more than `MAX_CHARACTERS`
    is cut off and has the finish reason `length`. A refusal in a field of its own is the text, with `refusal` as the
    finish reason.

    Raises:
        AttemptFailed: the body is not a complete answer: `malformed_body`, `empty_choices`, `empty_message` or
            `unfinished`.
    """
    if not reply.is_json:
        kind = clean_line(reply.headers.get("content-type", "no content type"))
        raise _wasted("malformed_body", f"not JSON ({kind})", reply, {})
    body = reply.body if isinstance(reply.body, dict) else {}
    counts = body["usage"] if isinstance(body.get("usage"), dict) else {}
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise _wasted("malformed_body", "no choices", reply, counts)
    if not choices:
        raise _wasted("empty_choices", "an empty list of choices", reply, counts)
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    if not isinstance(message, dict):
        raise _wasted("malformed_body", "no message", reply, counts)
    given = choices[0].get("finish_reason")
    finish_reason = read_finish_reason(given)
    if finish_reason is None:
        raise _wasted("unfinished", f"the finish reason {clean_line(given, 40)!r}", reply, counts)
    content = _text_of(message.get("content"))
    reasoning = _text_of(message.get("reasoning_content")) or _text_of(message.get("reasoning")) or ""
    refusal = _text_of(message.get("refusal"))
    if refusal and not content:
        content, finish_reason = refusal, "refusal"
    if content is None and not reasoning and finish_reason not in ("length", "content_filter", "refusal"):
        raise _wasted("empty_message", "no content", reply, counts)
    thought, text = split_reasoning(content or "")
    prompt_tokens = _count(counts.get("prompt_tokens"), prompt_characters)
    completion_tokens = _count(counts.get("completion_tokens"), len(content or "") + len(reasoning))
    cached = _detail(counts, "prompt_tokens_details", "cached_tokens")
    cached = cached or bounded_count(counts.get("prompt_cache_hit_tokens")) or 0  # DeepSeek's
    return Completion(
        text=text[:MAX_CHARACTERS],
        reasoning="\n\n".join(part for part in (reasoning, thought) if part)[:MAX_CHARACTERS] or None,
        finish_reason=finish_reason if len(text) <= MAX_CHARACTERS else "length",
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        replayed=False,
        cached_tokens=min(prompt_tokens, cached),
        reasoning_tokens=min(completion_tokens, _detail(counts, "completion_tokens_details", "reasoning_tokens")),
    )


def _wasted(reason: str, what: str, reply: Reply, counts: Mapping[str, Any]) -> AttemptFailed:
    tokens = _count(counts.get("prompt_tokens"), 0), _count(counts.get("completion_tokens"), 0)
    return AttemptFailed(reason, f"{what} in: {reply.shown}", wasted=True, tokens=tokens)


def _text_of(content: Any) -> str | None:
    """A message's text: a string, or the joined texts of a list of parts. Parts of another type are left out."""
    if isinstance(content, list):
        texts = [part for part in content if isinstance(part, dict) and part.get("type", "text") in _TEXT_PARTS]
        parts = [part.get("text") for part in texts]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _detail(counts: Mapping[str, Any], details: str, name: str) -> int:
    found = counts.get(details)
    return (bounded_count(found.get(name)) or 0) if isinstance(found, dict) else 0


def _count(given: Any, characters: int) -> int:
    count = bounded_count(given)
    return -(-characters // 4) if count is None else count
