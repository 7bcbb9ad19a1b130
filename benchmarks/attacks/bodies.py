"""Damaged and hostile answers of a server: each fails its own call or is read, and what is read can be written."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.attacks.tally import Tally
from resources.chat.calls import CallFailed, Completion, EndpointUnusable
from tests.attacks.bodies import hostile_answers
from tests.fake_endpoint import FakeEndpoint
from tests.resources.chat.conftest import ChatSetup

NUMBER = 500


def run() -> Tally:
    """One call for each answer, which the server gives to all attempts of that call."""
    tally, endpoint = Tally("bodies"), FakeEndpoint()
    endpoint.start()
    read = 0
    try:
        for number, answer in enumerate(hostile_answers(NUMBER)):
            endpoint.answer_with(lambda request, answer=answer: answer)
            with tempfile.TemporaryDirectory() as folder:
                chat = ChatSetup(endpoint, Path(folder))
                profile = chat.profile(timeout_seconds=5.0)
                (found,) = asyncio.run(chat.answers(chat.engine(profile), chat.call(sample=str(number))))
            read += isinstance(found, Completion)
            tally.count(_is_sound(found), f"answer {number}: {found!r:.200}")
    finally:
        endpoint.stop()
    tally.note = f"{read} were read as answers, the others failed their own call"
    return tally


def _is_sound(found: Any) -> bool:
    """Whether it is an answer or a refusal of the call, and its words can be in a table."""
    if isinstance(found, Completion):
        words = [found.text, found.reasoning or ""]
    elif isinstance(found, CallFailed | EndpointUnusable):
        words = [str(found)]
    else:
        return False
    return bool(pl.DataFrame({"words": words}).write_json()) and 0 <= getattr(found, "prompt_tokens", 0) < 2**31
