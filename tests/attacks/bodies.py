"""Answers of a server that is broken or hostile."""

import asyncio
import gzip
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from resources.chat.calls import CallFailed, Completion, EndpointUnusable
from tests.fake_endpoint import Answer, FakeEndpoint
from tests.resources.chat.conftest import ChatSetup

_FRAGMENTS = (
    *(b"\\ud83d", b"\\u0000", b"\\u001b[31m", b"\xff", b"\x00", b"\xe2\x80\xae", b'"', b"\\", b"{", b"[" * 5000, b"}"),
    *(b"null", b"NaN", b"-1", b"1" * 400, b"1e999", b"[]", b"<html>", b"data: ", b"data: [DONE]\n\n", b'{"error": 1}'),
    *(b"<|im_end|>", b"<think>", b'"finish_reason": "error"', b'"content": null', b"\r\n\r\n", b"\xef\xbb\xbf"),
)
_WHOLE = (
    Answer(body=b"[" * 200_000),
    Answer(body=b'{"a":' * 200_000),
    Answer(body=b'{"choices": [{"message": {"content": %s}}]}' % (b"9" * 100_000)),
    Answer(body=gzip.compress(b" " * 50_000_000, mtime=0), headers={"Content-Encoding": "gzip"}),
    Answer(body=gzip.compress(b"{}", mtime=0)[:-9], headers={"Content-Encoding": "gzip"}),
    Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
    Answer(body=b"{}", headers={"Content-Encoding": "br, gzip, br"}),
    Answer(body=b" " * 5_000_000),
    Answer(301, headers={"Location": "http://127.0.0.1:9/v1\u00ff"}),
    Answer(400, body=b'{"error": {"message": "\\ud83d"}}'),
    Answer(400, body=b'{"error": {"message": {"a": [1]}, "code": {"b": 2}, "param": []}}'),
    Answer(200, body=b'{"error": {"code": 10e400, "message": null}}'),
    Answer(200, body=b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1%s}}' % (b"0" * 30)),
    Answer(204),
    Answer(599, body=b"\x00" * 1000),
    FakeEndpoint.resets(),
    FakeEndpoint.breaks_off(),
)


def hostile_answers(number: int, seed: int = 0) -> Iterator[Answer]:
    """So many answers: some that are known to be hard, then good ones with random damage; the same for one seed."""
    draw = random.Random(seed)
    yield from _WHOLE[:number]
    for _ in range(number - len(_WHOLE)):
        body = bytearray(FakeEndpoint.says("The answer is 42.", reasoning="Six times seven.").body)
        for _ in range(draw.randint(1, 2)):
            place = draw.randrange(len(body))
            damage = draw.choice(("flip", "cut", "insert", "repeat", "swap"))
            if damage == "flip":
                body[place] = draw.randrange(256)
            elif damage == "cut":
                del body[place : place + draw.randint(1, 80)]
            elif damage == "insert":
                body[place:place] = draw.choice(_FRAGMENTS)
            elif damage == "repeat":
                body[place:place] = body[max(0, place - 40) : place] * draw.randint(1, 50)
            else:
                name = draw.choice((b"choices", b"message", b"content", b"usage", b"finish_reason", b"prompt_tokens"))
                body = body.replace(b'"%s"' % name, json.dumps(draw.choice(("", "x", "choices"))).encode(), 1)
            if not body:
                break
        yield Answer(draw.choice((200, 200, 200, 200, 400, 500)), body=bytes(body))


def outcome_of(endpoint: FakeEndpoint, answer: Answer) -> Any:
    """What the engine makes of a call to which the server gives this answer, however often it is asked."""
    endpoint.answer_with(lambda request: answer)
    with tempfile.TemporaryDirectory() as folder:
        chat = ChatSetup(endpoint, Path(folder))
        (found,) = asyncio.run(chat.answers(chat.engine(chat.profile(timeout_seconds=5.0)), chat.call()))
    return found


def is_sound(found: Any) -> bool:
    """Whether it is an answer or a refusal of the call, and its words can be in a table."""
    if isinstance(found, Completion):
        words = [found.text, found.reasoning or ""]
    elif isinstance(found, CallFailed | EndpointUnusable):
        words = [str(found)]
    else:
        return False
    return bool(pl.DataFrame({"words": words}).write_json()) and 0 <= getattr(found, "prompt_tokens", 0) < 2**31
