"""What `doctor` asks a model."""

import asyncio
from typing import Any

import pytest

from master_dagster.doctor.models import REASONING_TOKENS, TOKENS, ask
from resources.chat.profile import Profile
from tests.fake_endpoint import FakeEndpoint


@pytest.mark.parametrize(
    ("role", "limit"),
    [
        ({"temperature": 0.2, "max_tokens": 2048}, {"max_tokens": TOKENS}),
        (
            {"max_completion_tokens": 4096, "reasoning": {"effort": "low"}},
            {"max_completion_tokens": REASONING_TOKENS},
        ),
    ],
)
def test_the_answer_is_short_and_a_reasoning_model_may_think(
    fake_endpoint: FakeEndpoint, role: dict[str, Any], limit: dict[str, int]
) -> None:
    content = {
        "name": "test",
        "endpoints": {"fake": {"base_url": fake_endpoint.base_url}},
        "roles": {"judge": {"endpoint": "fake", "model": "m", **role}},
    }
    asyncio.run(ask(Profile.model_validate(content), "judge"))
    (sent,) = fake_endpoint.chats
    assert {name: sent.body[name] for name in sent.body if name.startswith("max_")} == limit
