"""Generating the dialogues of partitions: by a scripted chat, and by two runs at the same moment."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from assets.dialogues.generate import DialogueGeneration, GenerationRules
from assets.dialogues.schema import DIALOGUES
from assets.framework.partition_run import Outcomes, RunProgress, run_partitions
from resources.chat.calls import BudgetSpent, CallFailed, EndpointUnusable
from resources.chat.profile import Endpoint, Profile
from resources.chat.role_model import RoleModel
from resources.chat.service import ChatService
from resources.lake.tables import Lake
from tests.assets.dialogues.scripted import ScriptedChat
from tests.fake_endpoint import FakeEndpoint
from tests.shipped_scenarios import SCENARIOS

KEYS = ["debate|sums-0000", "debate|sums-0001"]
RULES = GenerationRules(regenerations=2, set_aside_limit=0.5, set_aside_minimum=5)
ANSWER = "I put both together. The answer is 7."


def nothing_shown(done: int, total: int, detail: Any = "", parts: Any = tuple, share: Any = None) -> None:
    pass


@pytest.fixture
def generation(lake: Lake, planned: Any, profile: Profile) -> DialogueGeneration:
    """A run over a shard with three debates."""
    planned.plan("sums-0000", ["debate"] * 3)
    service = ChatService(profile, lake.store)
    return DialogueGeneration(lake, service, SCENARIOS, RULES, frozenset(), KEYS[:1], RunProgress(nothing_shown))


def generate(work: DialogueGeneration, chat: Any) -> list[Any]:
    """The rows of the debates."""
    work.chat = chat
    return asyncio.run(work.run(KEYS[0], work.read(KEYS[0]), asyncio.Semaphore(2)))


def test_every_plan_becomes_a_row_in_order_of_the_seeds(generation: DialogueGeneration) -> None:
    chat = ScriptedChat()
    made = generate(generation, chat)
    assert [row["dialogue_id"] for row in made] == [task.dialogue_id for task in generation.read(KEYS[0]).tasks]
    assert chat.scopes == {"scenario_dialogues/debate|sums-0000"}
    assert (chat.most_open, generation.progress.done, generation.set_aside) == (2, 3, 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CallFailed("bad_request", "no"), "bad_request: turn 2, debater_a: no"),
        (ZeroDivisionError("oops"), "fault: ZeroDivisionError: oops"),
    ],
)
def test_a_dialogue_that_cannot_be_had_is_set_aside_and_no_other(
    error: Exception, reason: str, generation: DialogueGeneration
) -> None:
    bad = generation.read(KEYS[0]).tasks[1].dialogue_id
    made = generate(generation, ScriptedChat(lambda call: error if call.sample == bad else ANSWER))
    assert [row["status_reason"] for row in made] == [None, reason, None]
    assert generation.set_aside == 1


@pytest.mark.parametrize("error", [BudgetSpent("spent"), EndpointUnusable("wrong key")])
def test_an_error_of_every_call_ends_the_run(error: Exception, generation: DialogueGeneration) -> None:
    with pytest.raises(type(error)):
        generate(generation, ScriptedChat(lambda call: error))


def test_kept_rows_are_taken_over_without_a_call(generation: DialogueGeneration, planned: Any, lake: Lake) -> None:
    inputs = generation.read(KEYS[0])
    rows = generate(generation, ScriptedChat(lambda call: ANSWER))
    facts = {"made_by": inputs.made_by}
    lake.write(DIALOGUES, inputs.keys, DIALOGUES.frame(rows), fingerprint=inputs.fingerprint, facts=facts)
    again = rows[1]["dialogue_id"]
    planned.request_regeneration(KEYS[0], again)
    chat = ScriptedChat(lambda call: "Another view. The answer is 7.")
    made = generate(generation, chat)
    assert {call.sample for call in chat.calls} == {f"{again}.1"}
    assert [row["generation"] for row in made] == [0, 1, 0]


@pytest.fixture
def run_once(
    lake: Lake,
    planned: Any,
    fake_endpoint: FakeEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[list[str]], Outcomes]:
    """Generates these partitions of two shards with two debates each, as one run."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    fake_endpoint.answer_with(lambda request: fake_endpoint.says(ANSWER, delay=0.02))
    for shard in ("sums-0000", "sums-0001"):
        planned.plan(shard, ["debate"] * 2)
    cast = RoleModel(endpoint="fake", model="fake", temperature=0.2, max_tokens=100)
    endpoint = Endpoint(base_url=fake_endpoint.base_url, max_concurrency=2)
    profile = Profile(name="project", endpoints={"fake": endpoint}, roles=dict.fromkeys(SCENARIOS.roles, cast))

    def run(keys: list[str]) -> Outcomes:
        service, progress = ChatService(profile, lake.store), RunProgress(nothing_shown)
        work = DialogueGeneration(lake, service, SCENARIOS, RULES, frozenset(), keys, progress)
        outcomes = Outcomes(keys)
        asyncio.run(run_partitions(work, outcomes, address=lake.store.uri(DIALOGUES.name), look_seconds=0.01))
        return outcomes

    return run


def test_of_two_runs_at_once_each_partition_is_paid_for_once(
    run_once: Callable[[list[str]], Outcomes], fake_endpoint: FakeEndpoint, lake: Lake
) -> None:
    with ThreadPoolExecutor(2) as runs:
        first, second = runs.map(run_once, [KEYS, KEYS[::-1]])
    assert sorted(first.written) == sorted(second.written) == KEYS
    assert lake.read(DIALOGUES)["status"].to_list() == ["complete"] * 4
    asked = [(request.model, request.text) for request in fake_endpoint.chats]
    spoken = sum(turn["role"] is not None for turns in lake.read(DIALOGUES)["turns"] for turn in turns)
    assert len(asked) == spoken
