"""The fake server itself: that it speaks the API's form."""

from typing import TYPE_CHECKING

import openai
import pytest

if TYPE_CHECKING:
    from tests.fake_endpoint import FakeEndpoint


@pytest.fixture
def client(fake_endpoint: "FakeEndpoint") -> openai.OpenAI:
    return openai.OpenAI(base_url=fake_endpoint.base_url, api_key="k", max_retries=0, timeout=5)


def ask(client: openai.OpenAI, text: str = "hello") -> str | None:
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content


def test_it_answers_in_order_of_the_script_then_by_the_rule(
    fake_endpoint: "FakeEndpoint", client: openai.OpenAI
) -> None:
    fake_endpoint.script("one", fake_endpoint.says("two"))
    fake_endpoint.answer_with(lambda request: f"{request.last} {request.number}")
    assert [ask(client) for _ in range(3)] == ["one", "two", "hello 2"]


def test_it_records_what_it_was_asked(fake_endpoint: "FakeEndpoint", client: openai.OpenAI) -> None:
    ask(client, "why?")
    assert fake_endpoint.chats[0].last == "why?"
    assert fake_endpoint.chats[0].headers["authorization"] == "Bearer k"


def test_it_fails_as_scripted(fake_endpoint: "FakeEndpoint", client: openai.OpenAI) -> None:
    fake_endpoint.script(fake_endpoint.fails(429, "slow down", headers={"Retry-After": "3"}))
    with pytest.raises(openai.RateLimitError, match="slow down") as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "3"


def test_it_resets_connections(fake_endpoint: "FakeEndpoint", client: openai.OpenAI) -> None:
    fake_endpoint.script(fake_endpoint.resets(), fake_endpoint.breaks_off())
    for _ in range(2):
        with pytest.raises(openai.APIConnectionError):
            ask(client)


def test_it_embeds_texts_that_share_words_near_each_other(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="e", input=["red apples", "green apples", "stock market"])
    red, green, market = (item.embedding for item in answer.data)
    near = sum(a * b for a, b in zip(red, green, strict=True))
    far = sum(a * b for a, b in zip(red, market, strict=True))
    assert near > far
