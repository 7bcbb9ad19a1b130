import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from resources.model_servers.embedded.servers import lease_chat_server
from resources.model_servers.embedded.weights import EmbeddedModelMissing

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


def test_a_missing_model_file_is_named() -> None:
    with pytest.raises(EmbeddedModelMissing, match=r"nowhere\.gguf: there is no such file"):
        lease_chat_server("nowhere.gguf", context_tokens=256, slots=1)


@pytest.mark.embedded
class TestChatServer:
    def test_it_reports_its_own_model_whatever_model_is_asked_for(self, client: OpenAI) -> None:
        assert ask(client, "Say hello.").model == "SmolLM2-135M-Instruct"

    def test_the_model_gives_a_sensible_answer(self, client: OpenAI) -> None:
        assert "4" in ask(client, "What is 2 + 2?", max_tokens=20).choices[0].message.content

    def test_it_counts_tokens_and_stops_at_the_token_limit(self, client: OpenAI) -> None:
        completion = ask(client, "Count from one to one hundred in words.", max_tokens=5)

        assert completion.choices[0].finish_reason == "length"
        assert completion.usage.completion_tokens == 5
        assert completion.usage.prompt_tokens > 0

    def test_the_same_seed_gives_the_same_answer(self, client: OpenAI) -> None:
        def story(seed: int) -> str:
            return str(ask(client, "Tell a story.", temperature=1.5, seed=seed).choices[0].message.content)

        assert story(7) == story(7)
        assert len({story(seed) for seed in range(4)}) > 1

    def test_an_answer_follows_a_json_schema(self, client: OpenAI) -> None:
        form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
        completion = ask(client, "Is 2 + 2 = 5 correct?", max_tokens=60, response_format=form)

        assert set(json.loads(completion.choices[0].message.content)) == {"correct", "reason"}

    def test_a_prompt_that_does_not_fit_is_a_client_error_with_its_own_type(self, client: OpenAI) -> None:
        with pytest.raises(BadRequestError) as caught:
            ask(client, "word " * 300)
        assert caught.value.type == "exceed_context_size_error"
