"""However a server repeats the key, it reaches no message, no log and no journal."""

import asyncio
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.profile import Endpoint
from resources.chat.redaction import SHORTEST_SECRET, Redactor
from resources.chat.retries import RetryPolicy
from resources.embedder import EndpointEmbedder
from tests.attacks.echoes import ENCODINGS, KEY, PLACES, parts_found, sendable
from tests.fake_endpoint import FakeEndpoint

if TYPE_CHECKING:
    from tests.resources.chat.conftest import ChatSetup


@pytest.mark.parametrize("place", PLACES)
def test_an_echo_reaches_nothing(
    chat: "ChatSetup", place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_KEY", f" {KEY}\n")
    caplog.set_level("DEBUG")
    seen = []
    for encoding, encode in ENCODINGS.items():
        if not sendable(encoding, place):
            continue
        answer = PLACES[place](encode(KEY))
        chat.endpoint.answer_with(lambda request, answer=answer: answer)
        engine = chat.engine(chat.profile(api_key_env="SOME_KEY"))
        (found,) = asyncio.run(chat.answers(engine, chat.call(sample=encoding)))
        seen.append("".join(traceback.format_exception(found)) if isinstance(found, Exception) else repr(found))
    seen += [path.read_text() for path in chat.folder.rglob("*.jsonl")]
    seen.append(caplog.text)
    assert parts_found(seen) == []
    assert chat.endpoint.chats[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("content", "reasoning", "refusal")])
def test_an_echo_of_the_embeddings_reaches_nothing(
    fake_endpoint: FakeEndpoint, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    caplog.set_level("DEBUG")
    for encoding, encode in ENCODINGS.items():
        if not sendable(encoding, place):
            continue
        fake_endpoint.answer_embeddings_with(PLACES[place](encode(KEY)))
        endpoint = Endpoint(base_url=fake_endpoint.base_url, api_key_env="SOME_KEY")
        embedder = EndpointEmbedder("remote", endpoint, "some-model", retries=RetryPolicy(first_wait=0.0))
        with pytest.raises(Exception) as raised:
            embedder.embed(["text"])
        shown = "".join(traceback.format_exception(raised.value)) + caplog.text
        assert parts_found([shown]) == []


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60), st.text(), st.text())
def test_any_key_is_removed_in_any_encoding(key: str, before: str, after: str) -> None:
    redactor = Redactor(key)
    for encode in ENCODINGS.values():
        assert key not in redactor.text(f"{before} {encode(key)} {after}")


def test_a_placeholder_for_a_key_stays_in_texts() -> None:
    assert Redactor("none").text("none of them") == "none of them"
    assert len("none") < SHORTEST_SECRET
