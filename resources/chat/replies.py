"""Reads what an endpoint sent back. Nothing in a reply is trusted: its form is checked, its text is only data."""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from resources.chat.calls import CallFailed, Completion
from resources.outside_text import bounded_count, clean_line, clean_text, parse_json


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


class UnusableReply(Exception):
    """No call to this endpoint can succeed.

    Attributes:
        reason: a short code: `wrong_key`, `unknown_model`, `quota_spent` or `redirected`.
        detail: what came back, shortened.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_completion(reply: Reply, prompt_characters: int) -> Completion:
    """The completion in a successful reply.

    Tokens that the server does not count are estimated at four characters each.

    Raises:
        AttemptFailed: the body is not a chat completion: `malformed_body`, `empty_choices` or `empty_message`.
    """
    try:
        body = parse_json(reply.content)
    except ValueError:
        kind = clean_line(reply.headers.get("content-type", "no content type"))
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
    reasoning = _text_of(message.get("reasoning_content")) or _text_of(message.get("reasoning"))
    if content is None and not reasoning and finish_reason not in ("length", "content_filter"):
        raise _wasted("empty_message", "no content", reply, counts)
    thought, text = split_reasoning(content or "")
    return Completion(
        text=clean_text(text),
        reasoning=clean_text("\n\n".join(part for part in (reasoning, thought) if part)) or None,
        finish_reason=finish_reason if isinstance(finish_reason, str) else "stop",
        prompt_tokens=_count(counts.get("prompt_tokens"), prompt_characters),
        completion_tokens=_count(counts.get("completion_tokens"), len(content or "") + len(reasoning or "")),
        replayed=False,
    )


def _wasted(reason: str, what: str, reply: Reply, counts: Mapping[str, Any]) -> AttemptFailed:
    tokens = _count(counts.get("prompt_tokens"), 0), _count(counts.get("completion_tokens"), 0)
    return AttemptFailed(reason, f"{what} in: {clean_line(reply.content) or '(nothing)'}", wasted=True, tokens=tokens)


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
    """Seconds until a call of that many tokens is likely allowed again, by `x-ratelimit-*` headers; 0 if it is now."""
    pause = 0.0
    for kind, needed in (("requests", 1.0), ("tokens", max(1.0, tokens))):
        remaining = headers.get(f"x-ratelimit-remaining-{kind}")
        with suppress(KeyError, ValueError, ZeroDivisionError):
            if remaining is not None and (missing := needed - float(remaining)) > 0:
                # `reset`, such as `6m0s` or `120ms`, is the time until the whole allowance is back.
                allowance = float(headers.get(f"x-ratelimit-limit-{kind}", needed))
                reset = re.findall(r"(\d+(?:\.\d*)?)(ms|[smhd])?", headers[f"x-ratelimit-reset-{kind}"])
                seconds = sum(float(number) * _SECONDS[unit] for number, unit in reset)
                pause = max(pause, seconds * min(1.0, missing / allowance))
    return pause


_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_CONTEXT = re.compile(
    r"context.{0,20}(length|size|window|limit)|exceed_context|too many tokens|maximum.{0,20}(tokens|length)"
    r"|(prompt|input|request).{0,40}too (long|large)",
    re.IGNORECASE,
)
_FILTER = re.compile(r"content.?(filter|polic|management)|responsible.?ai|moderation|flagged|safety", re.IGNORECASE)
_NO_FUNDS = re.compile(r"insufficient.?(quota|funds|balance|credits)|billing", re.IGNORECASE)
# Only the server's code may stop a run: its words can quote the prompt.
_NO_MODEL = re.compile(r"model_not_found|unknown_model|invalid_model")


def raise_for_status(reply: Reply, endpoint: str) -> None:
    """Raise what a reply with an error status means.

    Raises:
        Throttled: wait; this uses up no attempt.
        AttemptFailed: try again, a few times.
        CallFailed: this call will never be answered.
        UnusableReply: no call to this endpoint will be.
    """
    if 200 <= reply.status < 300:
        return
    status, words, code = reply.status, *_server_words(reply.content)
    said = f"HTTP {status}: {words or '(nothing)'}"
    both = f"{code} {words}"
    if status == 402 or (status == 429 and _NO_FUNDS.search(both)):
        raise UnusableReply("quota_spent", said)
    wait = retry_after(reply.headers)
    if status == 429 or (status == 503 and wait is not None):
        raise Throttled(said, wait)
    if status >= 500 or status in (408, 409, 425):
        raise AttemptFailed("server_error", said)
    if status in (400, 403, 422) and _FILTER.search(both):
        raise CallFailed("content_filter", f"endpoint {endpoint!r}: {said}")
    if status in (401, 403):
        raise UnusableReply("wrong_key", said)
    if status == 404 or (status in (400, 422) and _NO_MODEL.search(code)):
        raise UnusableReply("unknown_model", said)
    if status < 400:
        target = clean_line(reply.headers.get("location", "").partition("?")[0])
        raise UnusableReply("redirected", f"HTTP {status}, to {target}")
    overflow = status == 413 or _CONTEXT.search(both)
    raise CallFailed("context_overflow" if overflow else "bad_request", f"endpoint {endpoint!r}: {said}")


def _server_words(content: bytes) -> tuple[str, str]:
    """The message of an error body, shortened, and its code and type."""
    try:
        body: Any = parse_json(content)
    except ValueError:
        return clean_line(content), ""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return clean_line(error if isinstance(error, str) else content), ""
    message = error.get("message")
    return clean_line(message if isinstance(message, str) else content), f"{error.get('code')} {error.get('type')}"


def _text_of(content: Any) -> str | None:
    """A message's text: a string, or the joined texts of a list of parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _count(given: Any, characters: int) -> int:
    count = bounded_count(given)
    return -(-characters // 4) if count is None else count
