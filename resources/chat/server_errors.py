"""What an error of an endpoint means: wait, try again, set the call aside, or stop the run.

Servers report errors by the status, by a body with another status, or by both. Only their codes may stop a run, because
their messages can quote the prompt.
"""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from resources.chat.calls import CallFailed
from resources.chat.replies import AttemptFailed, FormatRefused, Reply, Throttled, UnusableReply
from resources.outside_text import clean_line

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_CONTEXT = re.compile(
    r"context.{0,20}(length|size|window|limit)|exceed_context|too many tokens|maximum.{0,20}(tokens|length)"
    r"|(prompt|input|request).{0,40}too (long|large)",
    re.IGNORECASE,
)
_FILTER = re.compile(r"content.?(filter|polic|management)|responsible.?ai|moderation|flagged|safety", re.IGNORECASE)
_NO_FUNDS = re.compile(r"insufficient.?(quota|funds|balance|credits)", re.IGNORECASE)
_NO_FUNDS_CODE = re.compile(r"insufficient|billing|quota_(spent|error)|quota_exceeded|balance|credits", re.IGNORECASE)
_NO_MODEL = re.compile(r"model_not_found|unknown_model|invalid_model")
_REGION = re.compile(r"\b(country|countries|region|regions|territory|location)\b|_(country|region|territory)", re.I)
_BUSY = re.compile(r"overload|capacity|too busy|try again later|UNAVAILABLE\b", re.IGNORECASE)
_FORMAT = re.compile(
    r"response_?format|json_?schema|json_?object|structured.?output|guided.?(json|decod)", re.IGNORECASE
)
_PARAMETER_CODE = re.compile(r"unsupported_(parameter|value)|unknown_parameter", re.IGNORECASE)
_PARAMETER_MESSAGE = re.compile(
    r"unsupported (?:parameter|value): '(\w+)'"
    r"|unrecognized request arguments? supplied: (\w+)"
    r"|invalid json payload received\. unknown name \W?(\w+)"  # Gemini's
    r"|`(\w+)` and `\w+` cannot both be specified",  # Anthropic's, of temperature and top_p
    re.IGNORECASE,
)
_SETTINGS = ("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "reasoning_effort", "reasoning")
_WAIT_IN_WORDS = re.compile(
    r"(?:retry|try again|wait)\b[^.\d]{0,40}\b(?=\d)((?:\d+(?:\.\d+)?\s?(?:ms|[smhd])\w*\s?)+)", re.I
)
_DURATION = re.compile(r"(\d+(?:\.\d*)?)\s?(ms|[smhd])?")
# What the codes of an error mean where no status is given, as in the body of a 200.
_STATUS_OF_CODE = (
    (429, re.compile(r"rate.?limit|resource_exhausted|too_many|throttl", re.IGNORECASE)),
    (402, _NO_FUNDS_CODE),
    (401, re.compile(r"unauthenticated|unauthorized|authentication|invalid_api_key|invalid_key", re.IGNORECASE)),
    (403, re.compile(r"permission|forbidden", re.IGNORECASE)),
    (404, re.compile(r"not_?found|unknown_(model|url)", re.IGNORECASE)),
    (529, re.compile(r"overloaded|unavailable", re.IGNORECASE)),
    (400, re.compile(r"invalid_(request|argument)|context|bad_?request", re.IGNORECASE)),
    (500, re.compile(r"server_?error|internal", re.IGNORECASE)),
)
# The same for a message without any code. It must begin so: further on a message may quote the prompt.
_STATUS_OF_MESSAGE = (
    (404, re.compile(r"unexpected endpoint|not found\b|no such (endpoint|route|path)", re.IGNORECASE)),
    (401, re.compile(r"(no|missing|invalid|incorrect) (api.?key|auth)", re.IGNORECASE)),
    (429, re.compile(r"(rate limit|too many requests)", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class _ServerError:
    """The parts of an error body. `codes` holds its code, type and status."""

    message: str
    codes: str
    parameter: str
    status: int | None  # that the body names
    wait: float | None  # seconds


def raise_for_status(reply: Reply, endpoint: str) -> None:
    """Raise what a reply means that reports an error, by its status or in the body of a 2xx.

    Raises:
        Throttled: wait; this uses up no attempt.
        AttemptFailed: try again, a few times.
        FormatRefused: send the request without `response_format`.
        CallFailed: this call will never be answered.
        UnusableReply: no call to this endpoint will be.
    """
    status = reply.status
    if 200 <= status < 300:
        error = _error_within(reply.body)
        if error is None:
            return
        said = _read_error(error, reply)
        if said.status is None:
            raise AttemptFailed("malformed_body", f"an error without a status: {said.message}", wasted=True)
        status = said.status
    else:
        said = _read_error(reply.body, reply)
    _raise_failure(status, said, reply, endpoint)


def _raise_failure(status: int, said: _ServerError, reply: Reply, endpoint: str) -> None:
    shown = f"HTTP {status}: {said.message}"
    both = f"{said.codes} {said.message}"
    wait = retry_after(reply.headers)
    wait = said.wait if wait is None else wait
    if status == 402 or (status == 429 and _spent(said, wait)):
        raise UnusableReply("quota_spent", shown)
    if status in (429, 529) or (status == 503 and (wait is not None or _BUSY.search(both))):
        raise Throttled(shown, wait)
    if status >= 500 or status in (408, 409, 425):
        raise AttemptFailed("server_error", shown)
    if status in (400, 403, 422) and _FILTER.search(both):
        raise CallFailed("content_filter", f"endpoint {endpoint!r}: {shown}")
    if (status in (403, 451) or "FAILED_PRECONDITION" in said.codes) and _REGION.search(both):
        raise UnusableReply("region_refused", shown)
    if status in (401, 403):
        raise UnusableReply("wrong_key", shown)
    if status == 404 or (status in (400, 422) and _NO_MODEL.search(said.codes)):
        raise UnusableReply("unknown_model", shown)
    if status < 400:
        target = clean_line(reply.headers.get("location", "").partition("?")[0])
        raise UnusableReply("redirected", f"HTTP {status}, to {target}")
    if status in (400, 422) and (said.parameter == "response_format" or _FORMAT.search(said.message)):
        raise FormatRefused("bad_request", f"endpoint {endpoint!r}: {shown}")
    if _refused_parameter(said) in _SETTINGS:
        raise UnusableReply("refused_parameter", shown)
    overflow = status == 413 or _CONTEXT.search(both)
    raise CallFailed("context_overflow" if overflow else "bad_request", f"endpoint {endpoint!r}: {shown}")


def _spent(said: _ServerError, wait: float | None) -> bool:
    """Whether a 429 is about money. A limit per minute may speak of billing too, but it says when to come back."""
    if _NO_FUNDS_CODE.search(said.codes):
        return True
    return wait is None and _NO_FUNDS.search(said.message) is not None


def _refused_parameter(said: _ServerError) -> str:
    if _PARAMETER_CODE.search(said.codes) and said.parameter:
        return said.parameter
    named = _PARAMETER_MESSAGE.match(said.message)
    return next(filter(None, named.groups())) if named else ""


def _error_within(body: Any) -> Any:
    """The error that a 2xx reports: in the body, or in the first choice. None where there is none."""
    body = _unwrapped(body)
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and isinstance(first.get("error"), dict):
        return first
    reports_error = body.get("error") or body.get("object") == "error"
    return body if reports_error and not choices and not body.get("data") else None


def _unwrapped(body: Any) -> Any:
    return body[0] if isinstance(body, list) and len(body) == 1 else body  # Gemini's


def _read_error(body: Any, reply: Reply) -> _ServerError:
    body = _unwrapped(body)
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        message = error if isinstance(error, str) else reply.shown
        return _ServerError(
            clean_line(message) or "(nothing)", "", "", _status_of("", message), _wait_in_words(message)
        )
    text = error.get("message")
    message = text if isinstance(text, str) else reply.shown
    codes = " ".join(str(error[name]) for name in ("code", "type", "status") if isinstance(error.get(name), str | int))
    parameter = error.get("param")
    return _ServerError(
        message=clean_line(message),
        codes=clean_line(codes),
        parameter=parameter if isinstance(parameter, str) else "",
        status=_status_of(codes, message),
        wait=_wait_in_details(error.get("details")) or _wait_in_words(message),
    )


def _status_of(codes: str, message: str) -> int | None:
    """The HTTP status that an error's codes name or mean."""
    if number := re.search(r"\b[45]\d\d\b", codes):
        return int(number[0])
    meant = [status for status, pattern in _STATUS_OF_CODE if pattern.search(codes)]
    meant += [status for status, pattern in _STATUS_OF_MESSAGE if not codes and pattern.match(message)]
    return next(iter(meant), None)


def _wait_in_details(details: Any) -> float | None:
    """Seconds of Google's RetryInfo: `{"@type": "…RetryInfo", "retryDelay": "0.4s"}`."""
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (seconds := _seconds(delay)) is not None:
            return seconds
    return None


def _wait_in_words(message: str) -> float | None:
    """Seconds of words such as "Please try again in 6m0s." """
    found = _WAIT_IN_WORDS.search(message[:2000])
    return _seconds(found[1]) if found else None


def _seconds(duration: str) -> float | None:
    parts = _DURATION.findall(duration[:40])
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


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
    except (ValueError, OverflowError):
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
                seconds = _seconds(headers[f"x-ratelimit-reset-{kind}"]) or 0.0
                pause = max(pause, seconds * min(1.0, missing / allowance))
    return pause
