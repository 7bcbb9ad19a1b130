"""What an endpoint sends back is checked before it is believed."""

import json
from typing import Any

import pytest

from resources.chat.calls import CallFailed
from resources.chat.replies import (
    AttemptFailed,
    Reply,
    Throttled,
    UnusableReply,
    raise_for_status,
    rate_limit_pause,
    read_completion,
    retry_after,
    split_reasoning,
)
from resources.outside_text import clean_line


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def chat(message: dict[str, Any], finish_reason: str | None = "stop", **fields: Any) -> Reply:
    return reply({"choices": [{"message": message, "finish_reason": finish_reason}], **fields})


def test_a_completion_is_read() -> None:
    read = read_completion(chat({"content": "42"}, usage={"prompt_tokens": 7, "completion_tokens": 2}), 100)
    assert (read.text, read.finish_reason, read.prompt_tokens, read.completion_tokens) == ("42", "stop", 7, 2)


@pytest.mark.parametrize("usage", [None, {}, "many", {"prompt_tokens": None, "completion_tokens": -1}])
def test_tokens_that_the_server_does_not_count_are_estimated(usage: Any) -> None:
    read = read_completion(chat({"content": "x" * 8}, usage=usage), 100)
    assert (read.prompt_tokens, read.completion_tokens) == (25, 2)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html><body>Welcome to nginx</body></html>", "malformed_body"),
        (b"", "malformed_body"),
        (b'{"choices": [{"message": {"content": "ha', "malformed_body"),
        (b"[" * 100_000, "malformed_body"),
        (b"\xff\xfe", "malformed_body"),
        ({"error": {"message": "overloaded"}}, "malformed_body"),
        ([], "malformed_body"),
        ({"choices": [1]}, "malformed_body"),
        ({"choices": [{"message": None}]}, "malformed_body"),
        ({"choices": []}, "empty_choices"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, "empty_message"),
    ],
)
def test_what_is_no_completion_is_named_and_shown(body: Any, reason: str) -> None:
    with pytest.raises(AttemptFailed) as caught:
        read_completion(reply(body), 100)
    assert (caught.value.reason, caught.value.wasted) == (reason, True)
    assert clean_line(reply(body).content)[:20] in caught.value.detail


def test_an_answer_cut_off_before_its_first_word_is_an_answer() -> None:
    assert read_completion(chat({"content": None}, "length"), 100).finish_reason == "length"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<think>six times seven</think>\n\n42", ("six times seven", "42")),
        ("\n<think>\n</think>42", (None, "42")),
        ("six times seven</think>42", ("six times seven", "42")),
        ("<think>six times", ("six times", "")),
        ("42 <think>no</think>", (None, "42 <think>no</think>")),
        ("  42\n", (None, "  42\n")),
    ],
)
def test_reasoning_is_kept_apart(content: str, expected: tuple[str | None, str]) -> None:
    assert split_reasoning(content) == expected


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_kept_apart(field: str) -> None:
    read = read_completion(chat({"content": "42", field: "six times seven"}), 100)
    assert (read.reasoning, read.text) == ("six times seven", "42")


def test_a_list_of_parts_is_joined() -> None:
    assert read_completion(chat({"content": [{"type": "text", "text": "4"}, {"text": "2"}]}), 1).text == "42"


def test_text_and_numbers_of_a_completion_are_cleaned() -> None:
    message = rb'{"content": "a\ud800b\u001b[31m", "reasoning": "c\u202ed"}'
    body = b'{"choices": [{"message": %s}], "usage": {"prompt_tokens": 1%s}}' % (message, b"0" * 30)
    read = read_completion(reply(body), 40)
    assert (read.text, read.reasoning, read.prompt_tokens) == ("a\ufffdb", "cd", 10)


def test_the_words_of_an_error_are_cleaned() -> None:
    with pytest.raises(CallFailed) as raised:
        raise_for_status(reply(rb'{"error": {"message": "refused: \ud83d\u001b]0;title\u0007"}}', 400), "fake")
    assert raised.value.detail.endswith("refused: \ufffd")


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
    ],
)
def test_failures_are_classified(
    status: int, message: str, code: str | None, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind) as raised:
        raise_for_status(reply({"error": {"message": message, "code": code}}, status), "fake")
    assert getattr(raised.value, "reason", "throttled") == reason


def test_a_503_that_names_a_time_is_throttling() -> None:
    with pytest.raises(Throttled) as raised:
        raise_for_status(reply({}, 503, retry_after="2"), "fake")
    assert raised.value.retry_after == 2


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[" * 100_000, b'"text"', b'{"error": "text"}'])
def test_a_failure_in_any_form_is_shown(body: bytes) -> None:
    with pytest.raises(AttemptFailed, match="server_error: HTTP 502: "):
        raise_for_status(reply(body, 502), "fake")
