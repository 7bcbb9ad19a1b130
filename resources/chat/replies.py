"""Reading what an endpoint sent back. Nothing in a reply is trusted: its form is checked, its text is only data."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from resources.chat.calls import Completion

SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whatever its status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class AttemptFailed(Exception):
    """This attempt had no usable answer; the next one may have.

    Attributes:
        reason: a short code: `unreachable`, `connection_lost`, `timeout`, `server_error`, `malformed_body`,
            `empty_choices` or `empty_message`.
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
    """The endpoint is too busy: 429, or 503 with Retry-After.

    Attributes:
        retry_after: seconds that it asked to wait, if it did.
    """

    def __init__(self, detail: str, retry_after: float | None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class FailureKind(Enum):
    """What an answer that is no completion means for the call."""

    THROTTLED = "throttled"  # wait; it uses up no attempt
    TRANSIENT = "transient"  # try again, a few times
    REJECTED = "rejected"  # this call will never be answered
    UNUSABLE = "unusable"  # no call will be


def excerpt(content: bytes | str) -> str:
    """The first characters of what came back, on one line."""
    text = content[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace") if isinstance(content, bytes) else content
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


def read_completion(reply: Reply, prompt_characters: int) -> Completion:
    """The completion in a successful reply.

    Tokens that the server does not count are estimated at four characters each.

    Raises:
        AttemptFailed: the body is not a chat completion: `malformed_body`, `empty_choices` or `empty_message`.
    """
    try:
        body = json.loads(reply.content)
    except (ValueError, RecursionError):
        kind = reply.headers.get("content-type", "no content type")
        raise _wasted("malformed_body", f"not JSON ({kind})", reply, {}) from None
    choices = body.get("choices") if isinstance(body, dict) else None
    usage = body.get("usage") if isinstance(body, dict) else None
    counts = usage if isinstance(usage, dict) else {}
    if not isinstance(choices, list):
        raise _wasted("malformed_body", "no choices", reply, counts)
    if not choices:
        raise _wasted("empty_choices", "an empty list of choices", reply, counts)
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    if not isinstance(message, dict):
        raise _wasted("malformed_body", "no message", reply, counts)
    finish_reason = choices[0].get("finish_reason")
    content = _text_of(message.get("content"))
    reported = _text_of(message.get("reasoning_content")) or _text_of(message.get("reasoning"))
    if content is None and not reported and finish_reason not in ("length", "content_filter"):
        raise _wasted("empty_message", "no content", reply, counts)
    thought, text = split_reasoning(content or "")
    return Completion(
        text=_sound(text),
        reasoning=_sound("\n\n".join(part for part in (reported, thought) if part)) or None,
        finish_reason=finish_reason if isinstance(finish_reason, str) else "stop",
        prompt_tokens=_count(counts.get("prompt_tokens"), prompt_characters),
        completion_tokens=_count(counts.get("completion_tokens"), len(content or "") + len(reported or "")),
        replayed=False,
    )


def _wasted(reason: str, what: str, reply: Reply, counts: Mapping[str, Any]) -> AttemptFailed:
    tokens = _count(counts.get("prompt_tokens"), 0), _count(counts.get("completion_tokens"), 0)
    return AttemptFailed(reason, f"{what} in: {excerpt(reply.content) or '(nothing)'}", wasted=True, tokens=tokens)


def split_reasoning(content: str) -> tuple[str | None, str]:
    """The `<think>` part at the beginning of an utterance, and the utterance itself.

    Some chat templates open the part within the prompt, so that only its end is seen; a part that the token limit
    cut off has no end, and no utterance follows.
    """
    start = content.lstrip()
    opened = start.startswith("<think>")
    thought, end, rest = start.removeprefix("<think>").partition("</think>")
    if opened or (end and "<think>" not in thought):
        return thought.strip() or None, rest.strip()
    return None, content


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, from Retry-After (a number or a date) or retry-after-ms."""
    milliseconds = headers.get("retry-after-ms")
    value = headers.get("retry-after")
    try:
        if milliseconds:
            return max(0.0, float(milliseconds) / 1000)
        if value:
            return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value or "").timestamp()
        # The server's own clock, where it sends it: this machine's may be wrong or jump.
        now = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else time.time()
    except ValueError:
        return None
    return max(0.0, until - now)


def rate_limit_pause(headers: Mapping[str, str], tokens: float) -> float:
    """Seconds until one call of that many tokens is likely allowed again, from `x-ratelimit-*` headers; 0 if it is now."""
    pause = 0.0
    for kind, needed in (("requests", 1.0), ("tokens", max(1.0, tokens))):
        remaining = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
        reset = _duration(headers.get(f"x-ratelimit-reset-{kind}"))
        if remaining is not None and reset is not None and remaining < needed:
            # `reset` is the time until the whole allowance is back.
            allowance = _number(headers.get(f"x-ratelimit-limit-{kind}")) or needed
            pause = max(pause, reset * min(1.0, (needed - remaining) / allowance))
    return pause


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


def _duration(text: str | None) -> float | None:
    """Seconds in `6m0s`, `1.5s`, `120ms` or a bare number."""
    parts = re.findall(r"(\d+(?:\.\d*)?)(ms|[smhd])?", text or "")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


_CONTEXT = re.compile(
    r"context.{0,20}(length|size|window|limit)|exceed_context|too many tokens|maximum.{0,20}(tokens|length)"
    r"|(prompt|input|request).{0,40}too (long|large)",
    re.IGNORECASE,
)
_FILTER = re.compile(r"content.?(filter|polic|management)|responsible.?ai|moderation|flagged|safety", re.IGNORECASE)
_NO_FUNDS = re.compile(r"insufficient.?(quota|funds|balance|credits)|billing", re.IGNORECASE)
# Only the server's code may stop a run: its words can quote the prompt.
_NO_MODEL = re.compile(r"model_not_found|unknown_model|invalid_model")


def classify_failure(reply: Reply) -> tuple[FailureKind, str, str]:
    """What a reply of any other status means: the fault, a short reason code, and the server's words."""
    status, words, code = reply.status, *_server_words(reply.content)
    said = f"HTTP {status}: {words or '(nothing)'}"
    both = f"{code} {words}"
    if status == 429 and _NO_FUNDS.search(both):
        return FailureKind.UNUSABLE, "quota_spent", said
    if status == 429 or (status == 503 and retry_after(reply.headers) is not None):
        return FailureKind.THROTTLED, "throttled", said
    if status >= 500 or status in (408, 409, 425):
        return FailureKind.TRANSIENT, "server_error", said
    if status in (400, 403, 422) and _FILTER.search(both):
        return FailureKind.REJECTED, "content_filter", said
    if status in (401, 403):
        return FailureKind.UNUSABLE, "wrong_key", said
    if status == 402:
        return FailureKind.UNUSABLE, "quota_spent", said
    if status == 404 or (status in (400, 422) and _NO_MODEL.search(code)):
        return FailureKind.UNUSABLE, "unknown_model", said
    if status < 400:
        return (
            FailureKind.UNUSABLE,
            "redirected",
            f"HTTP {status}, to {reply.headers.get('location', '').partition('?')[0]}",
        )
    if status == 413 or _CONTEXT.search(both):
        return FailureKind.REJECTED, "context_overflow", said
    return FailureKind.REJECTED, "bad_request", said


def _server_words(content: bytes) -> tuple[str, str]:
    """The message of an error body, shortened, and its code and type."""
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        return excerpt(content), ""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return excerpt(error if isinstance(error, str) else content), ""
    message = error.get("message")
    return excerpt(message if isinstance(message, str) else content), f"{error.get('code')} {error.get('type')}"


def _text_of(content: Any) -> str | None:
    """A message's text: a string, or the joined texts of a list of parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _sound(text: str) -> str:
    """The text without lone surrogates, which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _count(given: Any, characters: int) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else -(-characters // 4)
