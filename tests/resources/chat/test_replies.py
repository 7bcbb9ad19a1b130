"""What an endpoint sends back is checked before it is believed."""

import json
from typing import Any

import pytest

from resources.chat.replies import AttemptFailed, Reply, read_completion
from resources.outside_text import MAX_CHARACTERS
from tests.received import received


def chat(message: dict[str, Any], finish_reason: str | None = "stop", **fields: Any) -> Reply:
    return received({"choices": [{"message": message, "finish_reason": finish_reason}], **fields})


def test_a_completion_is_read() -> None:
    read = read_completion(chat({"content": "42"}, usage={"prompt_tokens": 7, "completion_tokens": 2}), 100)
    assert (read.text, read.finish_reason, read.prompt_tokens, read.completion_tokens) == ("42", "stop", 7, 2)


@pytest.mark.parametrize(
    ("prompt", "completion", "parts"),
    [
        ({"cached_tokens": 5}, {"reasoning_tokens": 1}, (5, 1)),
        ({"cached_tokens": 99}, {"reasoning_tokens": 99}, (7, 2)),  # never more than there are
        ({"cached_tokens": None}, {}, (0, 0)),
        (None, "none", (0, 0)),
    ],
)
def test_cached_and_reasoning_tokens_are_read(prompt: Any, completion: Any, parts: tuple[int, int]) -> None:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }
    read = read_completion(chat({"content": "42"}, usage=usage), 100)
    assert (read.cached_tokens, read.reasoning_tokens) == parts


def test_cached_tokens_are_read_in_deepseeks_words() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_cache_hit_tokens": 5}
    assert read_completion(chat({"content": "42"}, usage=usage), 100).cached_tokens == 5


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
        ([], "malformed_body"),
        ({"choices": [1]}, "malformed_body"),
        ({"choices": [{"message": None}]}, "malformed_body"),
        ({"choices": []}, "empty_choices"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, "empty_message"),
    ],
)
def test_what_is_no_completion_is_named_and_shown(body: Any, reason: str) -> None:
    with pytest.raises(AttemptFailed) as caught:
        read_completion(received(body), 100)
    assert (caught.value.reason, caught.value.wasted) == (reason, True)
    assert received(body).shown in caught.value.detail


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, "stop"),
        ("", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("end_turn", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("SAFETY", "content_filter"),
    ],
)
def test_finish_reasons_are_read_in_the_words_of_all_servers(given: str | None, read: str) -> None:
    assert read_completion(chat({"content": "42"}, given), 100).finish_reason == read


@pytest.mark.parametrize("given", ["error", "insufficient_system_resource", "abort", "network_error", "something new"])
def test_an_answer_under_another_finish_reason_is_not_complete(given: str) -> None:
    with pytest.raises(AttemptFailed, match=f"unfinished: the finish reason '{given}'") as caught:
        read_completion(chat({"content": "Half of an ans"}, given, usage={"prompt_tokens": 7}), 100)
    assert (caught.value.wasted, caught.value.tokens) == (True, (7, 0))


@pytest.mark.parametrize("content", [None, ""])
def test_a_refusal_in_a_field_of_its_own_is_an_answer(content: str | None) -> None:
    read = read_completion(chat({"content": content, "refusal": "I cannot help with that."}), 100)
    assert (read.text, read.finish_reason) == ("I cannot help with that.", "refusal")


def test_a_text_beyond_the_limit_is_cut_off() -> None:
    read = read_completion(chat({"content": "x" * 300_000, "reasoning": "y" * 300_000}), 100)
    assert (len(read.text), len(read.reasoning or ""), read.finish_reason) == (MAX_CHARACTERS, MAX_CHARACTERS, "length")


def test_an_answer_cut_off_before_its_first_word_is_an_answer() -> None:
    assert read_completion(chat({"content": None}, "length"), 100).finish_reason == "length"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_kept_apart(field: str) -> None:
    read = read_completion(chat({"content": "42", field: "six times seven"}), 100)
    assert (read.reasoning, read.text) == ("six times seven", "42")


def test_the_text_parts_of_a_list_are_joined() -> None:
    parts = [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "4"}, {"text": "2"}]
    assert read_completion(chat({"content": parts}), 1).text == "42"


def test_text_and_numbers_of_a_completion_are_cleaned() -> None:
    message = rb'{"content": "a\ud800b\u001b[31m", "reasoning": "c\u202ed"}'
    body = b'{"choices": [{"message": %s}], "usage": {"prompt_tokens": 1%s}}' % (message, b"0" * 30)
    read = read_completion(received(body), 40)
    assert (read.text, read.reasoning, read.prompt_tokens) == ("a\ufffdb", "cd", 10)


def streamed(*events: Any) -> Reply:
    return received(b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n")


def test_a_completion_that_is_streamed_unasked_is_read() -> None:
    parts = [{"choices": [{"delta": {"content": text}}], "usage": None} for text in ("4", "2")]
    end = {"choices": [{"delta": {}, "finish_reason": "length"}], "usage": {"prompt_tokens": 7}}
    read = read_completion(streamed(*parts, end), 100)
    assert (read.text, read.finish_reason, read.prompt_tokens) == ("42", "length", 7)


@pytest.mark.parametrize("events", [[{"choices": [{"delta": {"content": "Half of"}}]}], [1], [{"choices": [None]}]])
def test_a_stream_that_broke_off_is_no_complete_answer(events: list[Any]) -> None:
    with pytest.raises(AttemptFailed, match=r"unfinished|malformed_body"):
        read_completion(streamed(*events), 100)
