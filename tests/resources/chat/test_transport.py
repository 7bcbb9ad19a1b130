"""One endpoint's connection: which proxy it uses and what it returns."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from resources.chat.profile import Endpoint
from resources.chat.replies import Reply
from resources.chat.transport import Connection

if TYPE_CHECKING:
    from tests.fake_endpoint import FakeEndpoint

ELSEWHERE = "http://models.test/v1"


def post(base_url: str, key: str | None = None) -> Reply:
    async def once() -> Reply:
        connection = Connection(Endpoint(base_url=base_url), base_url, key)
        try:
            return await connection.post_chat(b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}')
        finally:
            await connection.close()

    return asyncio.run(once())


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_the_proxy_that_the_environment_names_is_used(
    fake_endpoint: "FakeEndpoint", monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, fake_endpoint.base_url.removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "")
    assert post(ELSEWHERE).status == 200
    assert fake_endpoint.chats[0].headers["host"] == "models.test"


def test_header_names_may_come_in_any_case(fake_endpoint: "FakeEndpoint") -> None:
    fake_endpoint.script(fake_endpoint.says("hello", headers={"X-RateLimit-Remaining-Requests": "3"}))
    assert post(fake_endpoint.base_url).headers["x-ratelimit-remaining-requests"] == "3"


def test_a_key_that_the_server_echoes_is_removed(fake_endpoint: "FakeEndpoint") -> None:
    fake_endpoint.script(fake_endpoint.says("your key is sk-secret"))
    assert b"sk-secret" not in post(fake_endpoint.base_url, "sk-secret").content
