"""Two runs that teach the same partition at the same moment."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from assets.dialogues.prompts import PromptBook
from assets.dialogues.runner import DialogueRunner, TeachingRules
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.teaching import Progress
from assets.framework.outcomes import Outcomes
from assets.framework.partitions import Scenario
from resources.chat.profile import Endpoint, Profile, Role, RoleModel
from resources.chat.service import ChatService
from resources.lake.tables import Lake
from tests.fake_endpoint import FakeEndpoint

KEYS = ["debate|sums-0000", "debate|sums-0001"]


@pytest.fixture
def teach(
    lake: Lake,
    planned: Any,
    fake_endpoint: FakeEndpoint,
    prompts: PromptBook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[list[str]], Outcomes]:
    """Teaches these partitions of two shards with two debates each, as one run."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("assets.dialogues.teaching.LOOK_SECONDS", 0.01)
    fake_endpoint.answer_with(lambda request: fake_endpoint.says("I put both together. The answer is 7.", delay=0.02))
    for shard in ("sums-0000", "sums-0001"):
        planned.plan(shard, [Scenario.DEBATE] * 2)
    cast = RoleModel(endpoint="fake", model="fake", temperature=0.2, max_tokens=100)
    endpoint = Endpoint(base_url=fake_endpoint.base_url, max_concurrency=2)
    profile = Profile(name="project", endpoints={"fake": endpoint}, roles=dict.fromkeys(Role, cast))

    def run(keys: list[str]) -> Outcomes:
        chat, rules = ChatService(profile, lake.store), TeachingRules(2, 0.5, 5)
        outcomes = Outcomes(keys)
        project = DialogueRunner(lake, chat, prompts, rules, frozenset(), outcomes)
        asyncio.run(project.teach(Progress(keys), lambda: None))
        return outcomes

    return run


def test_one_wins_and_the_other_finds_it_made_and_nothing_is_paid_twice(
    teach: Callable[[list[str]], Outcomes], fake_endpoint: FakeEndpoint, lake: Lake
) -> None:
    with ThreadPoolExecutor(2) as runs:
        first, second = runs.map(teach, [KEYS, KEYS[::-1]])
    assert sorted(first.described) == sorted(second.described) == KEYS
    assert lake.read(DIALOGUES)["status"].to_list() == ["complete"] * 4
    asked = [(request.model, request.text) for request in fake_endpoint.chats]
    spoken = sum(turn["role"] is not None for turns in lake.read(DIALOGUES)["turns"] for turn in turns)
    assert len(asked) == spoken
