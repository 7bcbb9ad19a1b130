"""However a server repeats the key, it reaches no message, no log and no journal."""

import asyncio
import base64
import html
import json
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.chat.profile import Endpoint
from resources.chat.redaction import SHORTEST_SECRET, Redactor
from resources.chat.retries import RetryPolicy
from resources.embedder import EndpointEmbedder
from tests.fake_endpoint import Answer, FakeEndpoint

if TYPE_CHECKING:
    from tests.resources.chat.conftest import ChatSetup

KEY = "sk-CANARY/a+b==_0123456789"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json_slashes": lambda key: key.replace("/", "\\/"),
    "json_escapes": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "json_twice": lambda key: json.dumps("".join(f"\\u{ord(letter):04x}" for letter in key)),
    "percent": lambda key: quote(key, safe=""),
    "percent_all": lambda key: "".join(f"%{ord(letter):02x}" for letter in key),
    "percent_twice": lambda key: quote(quote(key, safe=""), safe=""),
    "html": lambda key: "".join(f"&#x{ord(letter):x};" for letter in key),
    "html_decimal": lambda key: html.escape("".join(f"&#{ord(letter)};" for letter in key)),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64_of_header": lambda key: base64.urlsafe_b64encode(f"Bearer {key}".encode()).decode(),
    "base64_of_user": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
    "with_controls": lambda key: "\u200e".join(key),
}
# What every encoding of the key has within it; base64 has one of three forms, by what precedes.
SECRET_PARTS = (
    "CANARY",
    "0123456789",
    "Q0FOQVJZ",
    "NBTkFSW",
    "DQU5BUl",
    "43414e415259",
    "%43%41",
    "u0043",
    "#x43;",
    "#67;",
)


# What a server can answer with the echo `text`. JSON text is written as it is where the escapes are the echo.
PLACES: dict[str, Callable[[str], Answer]] = {
    "content": lambda text: FakeEndpoint.says(f"You sent {text}."),
    "reasoning": lambda text: FakeEndpoint.says(None, reasoning=text),
    "refusal": lambda text: FakeEndpoint.says(None, refusal=text),
    "finish_reason": lambda text: FakeEndpoint.says("42", finish_reason=text),
    "raw_content": lambda text: FakeEndpoint.sends(f'{{"choices": [{{"message": {{"content": "{text}"}}}}]}}'),
    "cut_json": lambda text: FakeEndpoint.sends(f'{{"choices": [{{"message": {{"content": "{text}'),
    "no_choices": lambda text: FakeEndpoint.sends(json.dumps({text: text})),
    "page": lambda text: FakeEndpoint.sends(f"<p>{text}</p>", status=502, content_type="text/html"),
    "long_page": lambda text: FakeEndpoint.sends("." * 190 + text, status=502, content_type="text/html"),
    "content_type": lambda text: Answer(body=b"no JSON", headers={"Content-Type": f"text/plain; key={text}"}),
    "error_400": lambda text: FakeEndpoint.fails(400, text),
    "error_401": lambda text: FakeEndpoint.fails(401, text),
    "error_429": lambda text: FakeEndpoint.fails(429, text, headers={"Retry-After": "999999"}),
    "error_500": lambda text: FakeEndpoint.fails(500, text, code=text),
    "error_within_200": lambda text: FakeEndpoint.sends(json.dumps({"error": {"message": text, "code": 401}})),
    "raw_error": lambda text: FakeEndpoint.sends(f'{{"error": {{"message": "{text}"}}}}', status=403),
    "location": lambda text: Answer(307, headers={"Location": f"http://127.0.0.1:9/{text}?key={text}"}),
}


def sendable(encoding: str, place: str) -> bool:
    in_header = place in ("content_type", "location")
    return not (in_header and encoding == "with_controls") and not (
        place.startswith("raw") and encoding == "json_twice"
    )


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
    assert [part for part in SECRET_PARTS if any(part in text for text in seen)] == []
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
        assert [part for part in SECRET_PARTS if part in shown] == []


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60), st.text(), st.text())
def test_any_key_is_removed_in_any_encoding(key: str, before: str, after: str) -> None:
    redactor = Redactor(key)
    for encode in ENCODINGS.values():
        assert key not in redactor.text(f"{before} {encode(key)} {after}")


def test_a_placeholder_for_a_key_stays_in_texts() -> None:
    assert Redactor("none").text("none of them") == "none of them"
    assert len("none") < SHORTEST_SECRET
