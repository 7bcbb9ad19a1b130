import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from resources.model_servers.embedded.models import EmbeddedModelMissing
from resources.model_servers.embedded.server import lease_chat_server

SCHEMA = {
    "type": "object",
    "properties": {"correct": {"type": "boolean"}, "reason": {"type": "string", "maxLength": 20}},
    "required": ["correct", "reason"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(embedded_folders: None) -> Iterator[OpenAI]:
    with (
        lease_chat_server(None, context_tokens=256, slots=2, idle_seconds=0.2) as base_url,
        OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60) as client,
    ):
        yield client


def ask(client: OpenAI, text: str, **options: Any) -> Any:
    return client.chat.completions.create(
        model="whatever",
        messages=[{"role": "user", "content": text}],
        **{"temperature": 0.0, "max_tokens": 8} | options,
    )


@pytest.mark.embedded
def test_it_answers_to_any_model_name_with_its_own(client: OpenAI) -> None:
    assert ask(client, "Say hello.").model == "SmolLM2-135M-Instruct"


@pytest.mark.embedded
def test_the_model_is_in_its_right_mind(client: OpenAI) -> None:
    assert "4" in ask(client, "What is 2 + 2?", max_tokens=20).choices[0].message.content


@pytest.mark.embedded
def test_it_counts_the_tokens(client: OpenAI) -> None:
    usage = ask(client, "Say hello.").usage

    assert usage.prompt_tokens > 0
    assert 0 < usage.completion_tokens <= 8


@pytest.mark.embedded
def test_it_stops_at_the_token_limit_and_says_so(client: OpenAI) -> None:
    completion = ask(client, "Count from one to one hundred in words.", max_tokens=5)

    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 5


@pytest.mark.embedded
def test_the_same_seed_says_the_same(client: OpenAI) -> None:
    def story(seed: int) -> str:
        return str(ask(client, "Tell a story.", temperature=1.5, seed=seed).choices[0].message.content)

    assert story(7) == story(7)
    assert len({story(seed) for seed in range(4)}) > 1


@pytest.mark.embedded
def test_it_keeps_to_a_json_schema(client: OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
    completion = ask(client, "Is 2 + 2 = 5 correct?", max_tokens=60, response_format=form)

    assert set(json.loads(completion.choices[0].message.content)) == {"correct", "reason"}


@pytest.mark.embedded
def test_a_prompt_that_does_not_fit_is_a_client_error_with_a_type_of_its_own(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(client, "word " * 300)
    assert caught.value.type == "exceed_context_size_error"


def test_a_model_file_that_is_not_there_is_named() -> None:
    with pytest.raises(EmbeddedModelMissing, match=r"nowhere\.gguf: there is no such file"):
        lease_chat_server("nowhere.gguf", context_tokens=256, slots=1)
