"""A class that says what the test wants it to say, without any server."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.inputs import PartitionInputs, read_inputs
from assets.dialogues.prompts import load_dialogue_prompts
from assets.dialogues.questions import PartnerQuestions, Question
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.dialogues.task import DialogueTask, dialogue_id
from assets.dialogues.turn_loop import TurnLoop
from assets.framework.partitions import Scenario
from assets.framework.prompts import PromptBook
from assets.seeds.schema import SEEDS
from resources.chat.calls import Call, Completion
from resources.chat.profile import Profile, Role, load_profile
from resources.identity import stable_hash
from resources.lake.tables import Gate, Lake

SAYS = {
    Role.WEAK_STUDENT: "I count on my fingers and get nine apples. The answer is 9.",
    Role.CRITIC_TEACHER: "Look at the second step again and think about what the word more asks of you.",
    Role.STRONG_STUDENT: "You are right, I added wrongly. Three apples and four more are seven. The answer is 7.",
    Role.DEBATER_A: "I would put both numbers together and count on. The answer is 8.",
    Role.DEBATER_B: "That seems one too many to me, so I counted again. The answer is 7.",
    Role.DEBATE_CLOSER: "Student B is right, because three and four are seven. The answer is 7.",
    Role.EXPLAINING_TEACHER: "Think about what is there at first and what comes on top of it.",
    Role.ANALOGY_STUDENT: "I start with three and add four, which makes seven. The answer is 7.",
}


@dataclass
class ScriptedChat:
    """Implements `Chat`: `rule` gives a text, a completion, or an exception to be raised.

    With `company`, no call is answered before so many have been open at once.
    """

    rule: Callable[[Call], str | Completion | Exception] = lambda call: SAYS[call.role]
    target_concurrency: int = 4
    company: int = 1
    calls: list[tuple[str, Call]] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, call: Call, *, scope: str) -> Completion:
        self.calls.append((scope, call))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.open >= self.company:
                self.enough.set()
            await asyncio.wait_for(self.enough.wait(), 10)
            given = self.rule(call)
        finally:
            self.open -= 1
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, Completion) else said(given)


def said(text: str, finish_reason: str = "stop", reasoning: str | None = None) -> Completion:
    """A completion of 10 and 5 tokens."""
    return Completion(text, reasoning, finish_reason, prompt_tokens=10, completion_tokens=5, replayed=False)


@pytest.fixture(scope="session")
def says() -> Callable[..., Completion]:
    """Makes a completion: `says(text, finish_reason, reasoning)`."""
    return said


@pytest.fixture(scope="session")
def scripted_chat() -> type[ScriptedChat]:
    """The chat to be scripted; without a rule every role says something sensible."""
    return ScriptedChat


@pytest.fixture(scope="session")
def prompts() -> PromptBook:
    """The shipped prompts."""
    return load_dialogue_prompts("standard")


@pytest.fixture(scope="session")
def profile() -> Profile:
    """The default profile."""
    return load_profile("laptop")


@pytest.fixture(scope="session")
def make_task() -> Callable[..., DialogueTask]:
    """Makes a task about apples: `make_task(scenario, number=0, **changes)`."""

    def make(scenario: Scenario, number: int = 0, question: str = "", **changes: Any) -> DialogueTask:
        def asked(name: str, text: str, reference: str) -> Question:
            return Question(stable_hash(name, number), text, reference, reference.split()[-1].strip("."), "math")

        first = asked("first", question or "Tom has 3 apples and buys 4 more. How many?", "3 + 4 = 7. The answer is 7.")
        second = asked("second", "Ann has 2 pears and buys 5 more. How many?", "2 + 5 = 7. The answer is 7.")
        similar = second if scenario is Scenario.ANALOGY else None
        values: dict[str, Any] = {
            "dialogue_id": dialogue_id(scenario.value, first.seed_id, similar.seed_id if similar else None),
            "scenario": scenario,
            "shard": "sums-0000",
            "source": "sums",
            "domain": "math",
            "split": "train",
            "question": first,
            "similar": similar,
            "debate_rounds": 1 if scenario is Scenario.DEBATE else None,
        }
        return DialogueTask(**(values | changes))

    return make


@pytest.fixture(scope="session")
def make_turn_loop(prompts: PromptBook, profile: Profile) -> Callable[..., TurnLoop]:
    """Makes a classroom around a chat: `make_turn_loop(chat, regenerations=2)`."""

    def make(chat: Any, regenerations: int = 2) -> TurnLoop:
        return TurnLoop(chat, prompts, profile, regenerations)

    return make


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake.at(str(tmp_path / "lake"))


@dataclass(frozen=True)
class PlannedLake:
    """A lake with seeds and plans, and no dialogues yet."""

    lake: Lake
    prompts: PromptBook
    profile: Profile

    def read(self, key: str, retracted: Collection[str] = ()) -> PartitionInputs:
        """The inputs of a partition."""
        partners = PartnerQuestions(self.lake, DIALOGUE_PLANS, [key])
        return read_inputs(self.lake, key, self.prompts, self.profile, retracted, partners)

    def plan(self, shard: str, scenarios: Sequence[Scenario], partner_of_first: str | None = None) -> list[str]:
        """Write a shard of the source `sums`: a seed and a plan for each scenario named; the seed_ids, in order.

        Args:
            shard: its name, `sums-0000`.
            scenarios: how each of its seeds is taught.
            partner_of_first: whom the first analogy is paired with; by default the last seed of the shard.
        """
        seed_ids = sorted(stable_hash(shard, place) for place in range(len(scenarios)))
        seeds = [self._seed(seed_id, shard, place) for place, seed_id in enumerate(seed_ids)]
        self.lake.write(SEEDS, {"source": "sums", "shard": shard}, SEEDS.frame(seeds), fingerprint=shard)
        plans = [
            {
                "seed_id": seed_id,
                "source": "sums",
                "shard": shard,
                "domain": "math",
                "representative": seed_id,
                "split": "train",
                "scenario": scenario.value,
                "drawn_scenario": scenario.value,
                "debate_rounds": 1 + place % 2 if scenario is Scenario.DEBATE else None,
                "partner_seed_id": (partner_of_first or seed_ids[-1]) if scenario is Scenario.ANALOGY else None,
            }
            for place, (seed_id, scenario) in enumerate(zip(seed_ids, scenarios, strict=True))
        ]
        self.lake.write(DIALOGUE_PLANS, {"shard": shard}, DIALOGUE_PLANS.frame(plans), fingerprint=stable_hash(plans))
        return seed_ids

    def write_dialogues(
        self,
        key: str,
        statuses: Sequence[str] = (),
        gate: Gate = "passed",
        model: str = "any",
    ) -> None:
        """Write a partition as if it had been generated: 6 seconds in 3 calls, 2 turns and 1 refused per dialogue."""
        inputs = self.read(key)
        turn = {"speaker": "student A", "role": "debater_a", "side": "gpt", "text": "7", "model": model}
        rows = [
            {
                "dialogue_id": task.dialogue_id,
                **inputs.keys,
                "source": task.source,
                "domain": task.domain,
                "split": task.split,
                "seed_id": task.question.seed_id,
                "generation": task.generation,
                "status": statuses[place] if statuses else "complete",
                "turns": [turn | {"prompt_tokens": 20, "completion_tokens": 10}] * 2,
                "discarded": [{"turn": 2, "regeneration": 0, "reason": "empty", "text": ""}],
                "first_answer": "unknown",
                "prompt_tokens": 60,
                "completion_tokens": 30,
            }
            for place, task in enumerate(inputs.tasks)
        ]
        facts = {"made_by": inputs.made_by, "usage": {"calls": 3, "wait_seconds": 6.0}}
        frame = DIALOGUES.frame(rows)
        self.lake.write(DIALOGUES, inputs.keys, frame, fingerprint=inputs.fingerprint, gate=gate, facts=facts)

    def ask_again(self, scenario: Scenario, shard: str, dialogue: str, generation: int = 1) -> None:
        """Have one dialogue asked for anew."""
        row = {"dialogue_id": dialogue, "generation": generation, "reason": "judged_wrong"}
        keys = {"scenario": scenario.value, "shard": shard}
        self.lake.write(REGENERATIONS, keys, REGENERATIONS.frame([row | keys]), fingerprint=f"{dialogue}{generation}")

    @staticmethod
    def _seed(seed_id: str, shard: str, place: int) -> dict[str, Any]:
        return {
            "seed_id": seed_id,
            "source": "sums",
            "shard": shard,
            "reading": 1,
            "domain": "math",
            "question": f"In class {shard} Tom has {place} apples and buys 4 more. How many apples does he have now?",
            "answer": f"{place} + 4 = {place + 4}. The answer is {place + 4}.",
            "reference_final": str(place + 4),
            "representative": seed_id,
            "licence": "CC0-1.0",
            "origin_file": f"{shard}.jsonl",
            "origin_row": place,
        }


@pytest.fixture
def planned(lake: Lake, prompts: PromptBook, profile: Profile) -> PlannedLake:
    """A lake to be planned: `planned.plan("sums-0000", [Scenario.DEBATE, …])`."""
    return PlannedLake(lake, prompts, profile)
