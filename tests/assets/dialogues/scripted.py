"""A chat that says what the test wants it to say, without any server, and tasks about apples."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assets.dialogues.questions import Question
from assets.dialogues.task import DialogueTask, dialogue_id
from assets.dialogues.turn_loop import Dialogue, TurnLoop
from assets.framework.scenarios.scenario import Scenarios
from resources.chat.calls import Call, Completion
from resources.chat.profile import load_profile
from resources.identity import stable_hash
from tests.shipped_scenarios import SCENARIOS

PROFILE = load_profile("laptop")
SAYS = {
    "weak_student": "I count on my fingers and get nine apples. The answer is 9.",
    "critic_teacher": "Look at the second step again and think about what the word more asks of you.",
    "strong_student": "You are right, I added wrongly. Three apples and four more are seven. The answer is 7.",
    "debater_a": "I would put both numbers together and count on. The answer is 8.",
    "debater_b": "That seems one too many to me, so I counted again. The answer is 7.",
    "debate_closer": "Student B is right, because three and four are seven. The answer is 7.",
    "explaining_teacher": "Think about what is there at first and what comes on top of it.",
    "analogy_student": "I start with three and add four, which makes seven. The answer is 7.",
}


@dataclass
class ScriptedChat:
    """Implements `Chat`: `rule` gives a text, a completion, or an exception to be raised."""

    rule: Callable[[Call], str | Completion | Exception] = lambda call: SAYS[call.role]
    target_concurrency: int = 4
    calls: list[Call] = field(default_factory=list)
    scopes: set[str] = field(default_factory=set)
    open: int = 0
    most_open: int = 0

    async def complete(self, call: Call, *, scope: str) -> Completion:
        self.calls.append(call)
        self.scopes.add(scope)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        answer = self.rule(call)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Completion) else completion(answer)


def completion(text: str, finish_reason: str = "stop", reasoning: str | None = None) -> Completion:
    """A completion of 10 and 5 tokens."""
    return Completion(text, reasoning, finish_reason, prompt_tokens=10, completion_tokens=5, replayed=False)


def make_task(scenario: str, question: str = "", **changes: Any) -> DialogueTask:
    """A task about apples."""

    def asked(name: str, text: str, reference: str) -> Question:
        return Question(stable_hash(name), text, reference, reference.split()[-1].strip("."), "math")

    first = asked("first", question or "Tom has 3 apples and buys 4 more. How many?", "3 + 4 = 7. The answer is 7.")
    second = asked("second", "Ann has 2 pears and buys 5 more. How many?", "2 + 5 = 7. The answer is 7.")
    similar = second if scenario == "analogy" else None
    values: dict[str, Any] = {
        "dialogue_id": dialogue_id(scenario, first.seed_id, similar.seed_id if similar else None),
        "scenario": scenario,
        "shard": "sums-0000",
        "source": "sums",
        "domain": "math",
        "split": "train",
        "question": first,
        "similar": similar,
        "repetitions": 1 if scenario == "debate" else None,
    }
    return DialogueTask(**(values | changes))


def run_task(
    task: DialogueTask, chat: ScriptedChat, regenerations: int = 2, scenarios: Scenarios = SCENARIOS
) -> Dialogue:
    """Run its turns."""
    return asyncio.run(TurnLoop(chat, scenarios, PROFILE, regenerations).run(task, "scope"))
