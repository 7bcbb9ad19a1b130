"""What an error of an endpoint means."""

from typing import Any

import pytest

from resources.chat.calls import CallFailed
from resources.chat.replies import AttemptFailed, FormatRefused, Throttled, UnusableReply
from resources.chat.server_errors import raise_for_status, rate_limit_pause, retry_after
from tests.received import received


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:09 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "seconds"),
    [
        (None, "0", "1m30s", 90),
        ("60", "0", "60s", 1),  # a sixtieth of the allowance is back after a second
        ("60", "0", "120ms", 0.002),
        (None, "1", "60", 0),
        (None, "many", "soon", 0),
        (None, None, None, 0),
    ],
)
def test_an_exhausted_rate_limit_is_read_from_the_headers(
    limit: str | None, remaining: str | None, reset: str | None, seconds: float
) -> None:
    given = {"limit": limit, "remaining": remaining, "reset": reset}
    headers = {f"x-ratelimit-{name}-requests": value for name, value in given.items() if value is not None}
    assert rate_limit_pause(headers, tokens=100) == pytest.approx(seconds)


def test_too_few_remaining_tokens_for_a_call_are_waited_for() -> None:
    headers = {
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "40",
        "x-ratelimit-reset-tokens": "60s",
    }
    assert rate_limit_pause(headers, tokens=100) == pytest.approx(6)
    assert rate_limit_pause(headers, tokens=30) == 0


@pytest.mark.parametrize(
    ("status", "message", "code", "kind", "reason"),
    [
        (429, "slow down", None, Throttled, "throttled"),
        (429, "You exceeded your current quota", "insufficient_quota", UnusableReply, "quota_spent"),
        (500, "oh", None, AttemptFailed, "server_error"),
        (503, "loading model", None, AttemptFailed, "server_error"),
        (408, "too slow", None, AttemptFailed, "server_error"),
        (401, "Incorrect API key", "invalid_api_key", UnusableReply, "wrong_key"),
        (403, "forbidden", None, UnusableReply, "wrong_key"),
        (403, "your input was flagged", None, CallFailed, "content_filter"),
        (404, "The model `x` does not exist", "model_not_found", UnusableReply, "unknown_model"),
        (400, "no", "model_not_found", UnusableReply, "unknown_model"),
        (400, "you wrote: The model does not exist, model_not_found", None, CallFailed, "bad_request"),
        (400, "This model's maximum context length is 2048 tokens", None, CallFailed, "context_overflow"),
        (400, "the request exceeds the available context size", "exceed_context_size", CallFailed, "context_overflow"),
        (413, "", None, CallFailed, "context_overflow"),
        (400, "The response was filtered", "content_filter", CallFailed, "content_filter"),
        (422, "temperature must be a number", None, CallFailed, "bad_request"),
        (302, "", None, UnusableReply, "redirected"),
        (529, "Overloaded", "overloaded_error", Throttled, "throttled"),
        (503, "The model is overloaded. Please try again later.", None, Throttled, "throttled"),
        (429, "Your balance is used up", "exceeded_current_quota_error", UnusableReply, "quota_spent"),
        (
            429,
            "Quota; see plan and billing. Retry in 3s.",
            "rate_limit_exceeded",
            Throttled,
            "throttled",
        ),
        (403, "Not supported", "unsupported_country_region_territory", UnusableReply, "region_refused"),
        (403, "This model is not available in your country", None, UnusableReply, "region_refused"),
        (
            400,
            "User location is not supported.",
            "FAILED_PRECONDITION",
            UnusableReply,
            "region_refused",
        ),
        (400, "This response_format type is unavailable now", None, FormatRefused, "bad_request"),
        (400, "'max_tokens' is not supported", "unsupported_parameter", CallFailed, "bad_request"),
        (400, "Unsupported parameter: 'max_tokens' is not supported.", None, UnusableReply, "refused_parameter"),
        (400, "you wrote: Unsupported parameter: 'max_tokens'", None, CallFailed, "bad_request"),
    ],
)
def test_failures_are_classified(
    status: int, message: str, code: str | None, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind) as raised:
        raise_for_status(received({"error": {"message": message, "code": code}}, status), "fake")
    assert getattr(raised.value, "reason", "throttled") == reason


GEMINI = {
    "code": 429,
    "message": "You exceeded your current quota, please check your plan and billing details. Please retry in 0.7s.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.4s"}],
}


@pytest.mark.parametrize(
    ("error", "headers", "seconds"),
    [
        (GEMINI, {}, 0.4),
        (GEMINI, {"retry_after": "3"}, 3),
        ({**GEMINI, "details": []}, {}, 0.7),
        ({"message": "Rate limit reached. Please try again in 6m0s."}, {}, 360),
        ({"message": "Rate limit reached. Please try again in 20ms."}, {}, 0.02),
        ({"message": "Limit of 15 requests. Come back later."}, {}, None),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_the_wait_of_a_429_is_read_from_its_body(
    error: dict[str, Any], headers: dict[str, str], seconds: float | None, listed: bool
) -> None:
    body = [{"error": error}] if listed else {"error": error}
    with pytest.raises(Throttled) as raised:
        raise_for_status(received(body, 429, **headers), "fake")
    assert raised.value.retry_after == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ({"error": {"message": "No auth credentials found", "code": 401}}, UnusableReply, "wrong_key"),
        ({"error": {"message": "Provider returned error", "code": 429}}, Throttled, "throttled"),
        ({"error": {"message": "Provider returned error", "code": "502"}}, AttemptFailed, "server_error"),
        ({"error": {"message": "maximum context length is 9", "code": 400}}, CallFailed, "context_overflow"),
        ({"error": {"message": "no", "type": "insufficient_quota"}}, UnusableReply, "quota_spent"),
        ({"error": {"message": "no", "code": "model_not_found"}}, UnusableReply, "unknown_model"),
        ({"error": {"message": "Overloaded", "type": "overloaded_error"}}, Throttled, "throttled"),
        ({"error": "Unexpected endpoint or method. (POST /chat/completions)"}, UnusableReply, "unknown_model"),
        ({"error": "Invalid API key"}, UnusableReply, "wrong_key"),
        ({"error": "You wrote: Invalid API key"}, AttemptFailed, "malformed_body"),
        ({"error": {"message": "overloaded"}}, AttemptFailed, "malformed_body"),
        ({"object": "error", "message": "maximum context length is 9", "code": 400}, CallFailed, "context_overflow"),
        ([{"error": {"message": "slow down", "code": 429}}], Throttled, "throttled"),
        ({"choices": [{"error": {"code": 502, "message": "died"}}]}, AttemptFailed, "server_error"),
    ],
)
def test_an_error_within_a_200_is_judged_like_the_status_that_it_names(
    body: Any, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind) as raised:
        raise_for_status(received(body), "fake")
    assert getattr(raised.value, "reason", "throttled") == reason


@pytest.mark.parametrize("body", [{"choices": [], "error": None}, {"data": [], "error": ""}, [], "text", {}])
def test_a_200_without_an_error_is_none(body: Any) -> None:
    raise_for_status(received(body), "fake")


def test_a_503_that_names_a_time_is_throttling() -> None:
    with pytest.raises(Throttled) as raised:
        raise_for_status(received({}, 503, retry_after="2"), "fake")
    assert raised.value.retry_after == 2


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[" * 100_000, b'"text"', b'{"error": "text"}'])
def test_a_failure_in_any_form_is_shown(body: bytes) -> None:
    with pytest.raises(AttemptFailed, match="server_error: HTTP 502: "):
        raise_for_status(received(body, 502), "fake")


def test_the_words_of_an_error_are_cleaned() -> None:
    with pytest.raises(CallFailed) as raised:
        raise_for_status(received(rb'{"error": {"message": "refused: \ud83d\u001b]0;title\u0007"}}', 400), "fake")
    assert raised.value.detail.endswith("refused: \ufffd")
