"""Partitions in a few words, and a small lake of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.questions import Question
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.sharegpt_roles import SIDES, speakers
from assets.framework.partition_run import RunProgress
from assets.framework.partitions import Scenario, partition_columns
from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.inputs import DialogueInput, Turn
from assets.quality.prompts import load_prompts
from assets.quality.score_partition import DialogueScoring
from assets.seeds.schema import SEEDS
from resources.chat.profile import Endpoint, Profile, Role, load_profile
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.tables import Lake

CASTS = {
    Scenario.ERROR_CORRECTION: (None, "weak_student", "critic_teacher", "strong_student"),
    Scenario.ANALOGY: ("explaining_teacher", "analogy_student", None, "analogy_student"),
    Scenario.DEBATE: (None, "debater_a", "debater_b", "debate_closer"),
}
MARBLES = Question(
    "s1",
    "Tom has 12 marbles and gives 5 away. How many are left?",
    "He keeps 12 - 5 = 7. The answer is 7.",
    "7",
    "math",
)
PENS = Question(
    "s2", "Ann has 9 pens and loses 4. How many are left?", "She keeps 9 - 4 = 5. The answer is 5.", "5", "math"
)
CORRECTED = (
    MARBLES.text,
    "I add 12 and 5, which makes 17 marbles.",
    "Your answer is wrong. Think about what giving away does to the number.",
    "I added by mistake. Giving away means taking off, so 12 - 5 = 7. The answer is 7.",
)

TaskMaker = Callable[..., DialogueInput]


@pytest.fixture
def task() -> TaskMaker:
    """Makes a task of what was said: `task("debate", "question", "A's words", "B's words", "C's words")`."""

    def make(
        scenario: str = "error_correction",
        *said: str,
        questions: Sequence[Question] = (MARBLES,),
        first_answer: str = "wrong",
        **changes: Any,
    ) -> DialogueInput:
        kind = Scenario(scenario)
        words = said or CORRECTED
        cast = zip(speakers(kind, 1), CASTS[kind], words, strict=True)
        values = {
            "dialogue_id": stable_hash(scenario, words),
            "scenario": kind,
            "domain": questions[0].domain,
            "complete": True,
            "turns": tuple(Turn(who, role, SIDES[kind][who], text, role and "stop") for who, role, text in cast),
            "questions": tuple(questions),
            "first_answer": first_answer,
            "debate_rounds": 1 if kind is Scenario.DEBATE else None,
            **changes,
        }
        return DialogueInput(**values)

    return make


@pytest.fixture
def rules() -> QualityRules:
    """The shipped rules, but no dialogue without a verdict is tolerated."""
    rules = load_quality_rules("standard")
    return rules.model_copy(update={"judge": rules.judge.model_copy(update={"tolerated": 0})})


def judged_by(base_url: str, **endpoint: Any) -> Profile:
    """The laptop profile with every role at one address."""
    laptop = load_profile("laptop")
    server = Endpoint(base_url=base_url, **endpoint)
    return laptop.model_copy(update={"name": "tests", "endpoints": {"embedded": server}})


@dataclass
class SampleProject:
    """A lake of error-correction tasks in one shard, and a judge."""

    lake: Lake
    base_url: str
    rules: QualityRules
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    key = "error_correction|sums-0000"

    def scoring(self, *keys: str, **judge: Any) -> DialogueScoring:
        """A run over these partitions; `judge` changes the judge's settings in the profile."""
        profile = judged_by(self.base_url)
        roles = {**profile.roles, Role.JUDGE: profile.roles[Role.JUDGE].model_copy(update=judge)}
        profile = profile.model_copy(update={"roles": roles})
        service = ChatService(profile, self.lake.store, retries=RetryPolicy(attempts=2, first_wait=0.001))
        progress = RunProgress(lambda done, total, detail="", parts=tuple: None)
        return DialogueScoring(self.lake, service, load_prompts("standard"), self.rules, keys, progress)

    def teach(self, name: str, said: Sequence[str] = CORRECTED, **row: Any) -> str:
        """Add a task, write every table anew, and give its dialogue_id."""
        self.tasks[name] = {"said": said, **row}
        self.write()
        return stable_hash("dialogue", name)

    def write(self) -> None:
        """Write seeds, plans and dialogues."""
        keys = partition_columns(self.key)
        shard = {"shard": keys["shard"]}
        names = list(self.tasks)
        seeds = SEEDS.frame(_seed(number, name) for number, name in enumerate(names))
        self.lake.write(SEEDS, {"source": "sums", **shard}, seeds, fingerprint=stable_hash(names))
        plans = DIALOGUE_PLANS.frame(map(_plan, names))
        self.lake.write(DIALOGUE_PLANS, shard, plans, fingerprint=stable_hash(names))
        dialogues = DIALOGUES.frame(_dialogue(name, task) for name, task in self.tasks.items())
        self.lake.write(DIALOGUES, keys, dialogues, fingerprint=stable_hash(self.tasks), facts={"profile": "tests"})


def _seed(number: int, name: str) -> dict[str, Any]:
    return {
        "seed_id": stable_hash("seed", name),
        "source": "sums",
        "shard": "sums-0000",
        "reading": 1,
        "domain": "math",
        "question": MARBLES.text,
        "answer": MARBLES.reference,
        "reference_final": MARBLES.reference_final,
        "representative": stable_hash("seed", name),
        "licence": "MIT",
        "origin_file": "sums.jsonl",
        "origin_row": number,
    }


def _plan(name: str) -> dict[str, Any]:
    return {
        "seed_id": stable_hash("seed", name),
        "source": "sums",
        "shard": "sums-0000",
        "domain": "math",
        "representative": stable_hash("seed", name),
        "split": "train",
        "scenario": "error_correction",
        "drawn_scenario": "error_correction",
    }


def _dialogue(name: str, task: Mapping[str, Any]) -> dict[str, Any]:
    cast = zip(speakers(Scenario.ERROR_CORRECTION), CASTS[Scenario.ERROR_CORRECTION], task["said"], strict=False)
    return {
        "dialogue_id": stable_hash("dialogue", name),
        "scenario": "error_correction",
        "shard": "sums-0000",
        "source": "sums",
        "domain": "math",
        "split": "train",
        "seed_id": stable_hash("seed", name),
        "generation": 0,
        "status": "complete",
        "turns": [
            {
                "speaker": who,
                "role": role,
                "side": SIDES[Scenario.ERROR_CORRECTION][who],
                "text": text,
                "trains": True,
                "finish_reason": "stop" if role else None,
            }
            for who, role, text in cast
        ],
        "discarded": [],
        "first_answer": "wrong",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        **{key: value for key, value in task.items() if key != "said"},
    }


@pytest.fixture
def project(tmp_path: Path, fake_endpoint: Any, rules: QualityRules) -> Iterator[SampleProject]:
    """An empty project whose judge is the fake endpoint."""
    yield SampleProject(Lake.at(str(tmp_path)), fake_endpoint.base_url, rules)
