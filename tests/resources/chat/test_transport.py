"""Connections: bodies are bounded, and chat and embeddings treat proxies, certificates and redirects alike."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resources.chat.calls import CallFailed, EndpointUnusable
from resources.chat.profile import Endpoint
from resources.chat.replies import AttemptFailed
from resources.chat.retries import RetryPolicy
from resources.chat.transport import BODY_BYTES, Connection
from resources.embedder import EndpointEmbedder
from tests.certificates import server_context
from tests.fake_endpoint import Answer, FakeEndpoint

if TYPE_CHECKING:
    from tests.resources.chat.conftest import ChatSetup

SAYS_42 = FakeEndpoint.says("42")
AT_ONCE = RetryPolicy(first_wait=0.0)


def packed(answer: Answer, body: bytes, encoding: str) -> Answer:
    return replace(answer, body=body, headers={"Content-Encoding": encoding})


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_is_read(chat: "ChatSetup", encoding: str, pack: Callable[[bytes], bytes]) -> None:
    chat.endpoint.script(packed(SAYS_42, pack(SAYS_42.body), encoding))
    assert chat.ask_one().text == "42"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (packed(SAYS_42, gzip.compress(b" " * 100 * 2**20), "gzip"), "over 4 MiB"),
        (replace(SAYS_42, body=b" " * (BODY_BYTES + 1)), "over 4 MiB"),
        (packed(SAYS_42, b"not packed", "gzip"), "not gzip"),
        (packed(SAYS_42, b"packed", "zstd"), "none that was asked for"),
    ],
    ids=["bomb", "long", "not gzip", "zstd"],
)
def test_a_body_that_cannot_be_read_in_bounds_fails_its_call(chat: "ChatSetup", answer: Answer, message: str) -> None:
    chat.endpoint.script("first", *[answer] * 6)
    first, second = chat.calls(2)
    tracemalloc.start()
    with pytest.raises(CallFailed, match=message) as caught:
        chat.ask_in_turn(first, second)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == "malformed_body"
    assert peak < 60 * 2**20  # the fake endpoint's own copies among them


# ---- chat and embeddings alike


def ask_chat(chat: "ChatSetup", endpoint: Endpoint) -> None:
    profile = chat.profile()
    chat.ask_one(chat.engine(profile.model_copy(update={"endpoints": {"fake": endpoint}})))


def ask_embeddings(chat: "ChatSetup", endpoint: Endpoint) -> None:
    EndpointEmbedder("fake", endpoint, "some-model", retries=AT_ONCE).embed(["text"])


alike = pytest.mark.parametrize("ask", [ask_chat, ask_embeddings])
Ask = Callable[["ChatSetup", Endpoint], None]


@alike
@pytest.mark.parametrize(
    ("variable", "proxied"), [("http_proxy", True), ("all_proxy", True), ("http_proxy", False), ("all_proxy", False)]
)
def test_a_proxy_is_used_for_other_machines_only(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch, ask: Ask, variable: str, proxied: bool
) -> None:
    monkeypatch.setenv(variable, chat.endpoint.base_url.removesuffix("/v1") if proxied else "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    ask(chat, Endpoint(base_url="http://models.test/v1" if proxied else chat.endpoint.base_url))
    assert (chat.endpoint.requests[0].headers["host"] == "models.test") == proxied


@alike
@pytest.mark.parametrize(
    ("proxy", "no_proxy", "message"),
    [
        ("socks5://127.0.0.1:9", "", r"ALL_PROXY names a proxy that cannot be used \(socks5\).*NO_PROXY"),
        ("http://[broken", "", r"ALL_PROXY names a proxy that cannot be used"),
        ("http://127.0.0.1:9", "", "no connection to the proxy that the environment names"),
        ("socks5://127.0.0.1:9", "models.test", "no connection: "),
    ],
    ids=["socks", "unreadable", "nothing listens", "bypassed"],
)
def test_a_proxy_that_cannot_be_used_is_named(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch, ask: Ask, proxy: str, no_proxy: str, message: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    monkeypatch.setenv("no_proxy", no_proxy)
    with pytest.raises(EndpointUnusable, match=message):
        ask(chat, Endpoint(base_url="http://models.test/v1"))


@alike
def test_a_redirect_is_not_followed(chat: "ChatSetup", ask: Ask) -> None:
    other = FakeEndpoint()
    other.start()
    redirect = Answer(307, headers={"Location": f"{other.base_url}/embeddings"})
    chat.endpoint.script(redirect)
    chat.endpoint.answer_embeddings_with(redirect)
    with pytest.raises(EndpointUnusable, match=r"redirected.*base_url"):
        ask(chat, Endpoint(base_url=chat.endpoint.base_url))
    assert other.requests == []
    other.stop()


@alike
def test_key_header_and_further_headers_are_sent(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    monkeypatch.setenv("SOME_KEY", " sk-secret\n")
    endpoint = Endpoint(
        base_url=f"{chat.endpoint.base_url}?api-version=1",
        api_key_env="SOME_KEY",
        key_header="api-key",
        headers={"X-Title": "MASTER"},
    )
    ask(chat, endpoint)
    headers = chat.endpoint.requests[0].headers
    assert (headers["api-key"], headers["x-title"]) == ("sk-secret", "MASTER")
    assert "authorization" not in headers


def test_azures_addresses_get_the_key_in_azures_header(chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    address = chat.endpoint.base_url.replace("/v1", "/openai/deployments/m?api-version=2024-10-21")
    ask_chat(chat, Endpoint(base_url=address, api_key_env="SOME_KEY"))
    assert chat.endpoint.requests[0].headers["api-key"] == "sk-secret"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 \xf0\x9f\r\n\r\n", b"HTTP/1.1 99999 X\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"\0" * 9000, b""]
)
def test_what_is_no_http_breaks_one_call_off(chat: "ChatSetup", answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def work() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            connection = Connection(Endpoint(base_url=address), address, None)
            try:
                await connection.post("/chat/completions", b"{}")
            finally:
                await connection.close()

    with pytest.raises(AttemptFailed, match="connection_lost"):
        asyncio.run(work())


@pytest.fixture
def secure_endpoint(tmp_path: Path) -> Iterator[tuple[FakeEndpoint, Path]]:
    """A fake endpoint that serves https, and the PEM file with its certificate."""
    context, path = server_context(tmp_path)
    endpoint = FakeEndpoint(context)
    endpoint.start()
    yield endpoint, path
    endpoint.stop()


@alike
def test_a_private_certificate_is_trusted_by_ssl_cert_file_alone(
    chat: "ChatSetup", monkeypatch: pytest.MonkeyPatch, secure_endpoint: tuple[FakeEndpoint, Path], ask: Ask
) -> None:
    secure, certificate = secure_endpoint
    endpoint = Endpoint(base_url=secure.base_url)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(EndpointUnusable, match=r"certificate is not trusted: self.signed.*SSL_CERT_FILE"):
        ask(chat, endpoint)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.parent / "missing.pem"))
    with pytest.raises(EndpointUnusable, match="SSL_CERT_FILE cannot be read"):
        ask(chat, endpoint)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    ask(chat, endpoint)
    assert len(secure.requests) == 1


@pytest.mark.parametrize("continuation", [None, " 42"])
def test_one_untrusted_certificate_is_one_error_of_the_run(
    chat: "ChatSetup", secure_endpoint: tuple[FakeEndpoint, Path], continuation: str | None
) -> None:
    engine = chat.engine(chat.profile(base_url=secure_endpoint[0].base_url))
    calls = [replace(one, continuation=continuation) for one in chat.calls(5)]
    answers = asyncio.run(chat.answers(engine, *calls))
    assert len(set(map(str, answers))) == 1
    assert isinstance(answers[0], EndpointUnusable)
