"""Answers that repeat the key, in every place and encoding: it is in no completion, message, log or journal."""

import asyncio
import io
import logging
import os
import tempfile
import traceback
from pathlib import Path

from benchmarks.attacks.tally import Tally
from tests.attacks.echoes import ENCODINGS, KEY, PLACES, parts_found, sendable
from tests.fake_endpoint import FakeEndpoint
from tests.resources.chat.conftest import ChatSetup


def run() -> Tally:
    """Every place with every encoding that it allows."""
    tally, endpoint = Tally("echoes"), FakeEndpoint()
    os.environ["SOME_KEY"] = KEY
    root, handler = logging.getLogger(), logging.StreamHandler(io.StringIO())
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    endpoint.start()
    try:
        for place, make in PLACES.items():
            for encoding, encode in ENCODINGS.items():
                if sendable(encoding, place):
                    answer, log = make(encode(KEY)), io.StringIO()
                    endpoint.answer_with(lambda _request, answer=answer: answer)  # type: ignore[misc]
                    handler.setStream(log)
                    found = parts_found([*_written(endpoint, encoding), log.getvalue()])
                    tally.count(not found, f"{place}, {encoding}: {', '.join(found)}")
    finally:
        endpoint.stop()
        root.removeHandler(handler)
        root.setLevel(logging.WARNING)
        del os.environ["SOME_KEY"]
    tally.note = "the whole graph: tests/master_dagster/test_key_echo.py"
    return tally


def _written(endpoint: FakeEndpoint, encoding: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        chat = ChatSetup(endpoint, Path(folder))
        engine = chat.engine(chat.profile(api_key_env="SOME_KEY"))
        (found,) = asyncio.run(chat.answers(engine, chat.call(sample=encoding)))
        shown = "".join(traceback.format_exception(found)) if isinstance(found, BaseException) else repr(found)
        return [shown, *(path.read_text() for path in Path(folder).rglob("*.jsonl"))]
