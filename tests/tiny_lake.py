"""A tiny, consistent lake of seeds, plans, dialogues and scores, for the stages that come after them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.release import Release, make_release
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.quality.configuration import JudgeRules, load_quality_rules
from assets.quality.partition_status import Expected
from assets.quality.prompts import load_prompts
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from resources.chat.profile import load_profile
from resources.identity import stable_hash
from resources.lake.records import Gate
from resources.lake.tables import Lake
from tests.lake_rows import dialogue_row, plan_row, seed_row, turn_rows
from tests.shipped_scenarios import NAMES, SCENARIOS

PROFILE = "laptop"


DOUBTFUL = {
    "finding": "reference_doubtful",
    "value": "yes",
    "good": False,
    "reason": "It contradicts itself.",
    "code": "doubtful_reference",
    "agreed": True,
}


@dataclass(frozen=True)
class TinyDialogue:
    """One seed and the dialogue that was made of it."""

    name: str
    question: str
    answer: str
    scenario: str
    split: str = "train"
    source: str = "sums"
    partner: str | None = None  # name of another one
    system: str | None = None
    licence: str = "MIT"
    representative: str | None = None  # name of another one
    accepted: bool = True
    reasons: tuple[str, ...] = ()
    status: str = "complete"
    score: float = 0.9
    words: tuple[str, ...] | None = None  # what is said, turn by turn, instead of the usual
    reference_final: str | None = None
    tests: str | None = None
    finals: tuple[str | None, ...] = (None,) * 9  # what was found of the final answer of each turn
    findings: tuple[dict[str, Any], ...] = ()  # of the judge
    signals: dict[str, Any] = field(default_factory=dict)  # columns of the scores, instead of the usual

    @property
    def seed_id(self) -> str:
        return stable_hash("seed", self.name)

    @property
    def dialogue_id(self) -> str:
        return stable_hash("dialogue", self.name)

    @property
    def shard(self) -> str:
        return f"{self.source}-0000"


@dataclass
class TinyLake:
    """The dialogues by name, and the lake they are written to."""

    lake: Lake
    dialogues: dict[str, TinyDialogue] = field(default_factory=dict)

    def add(self, *dialogues: TinyDialogue) -> None:
        """Add or change dialogues, by name, and write every table again."""
        self.dialogues |= {one.name: one for one in dialogues}
        self.write()

    def change(self, name: str, **values: Any) -> None:
        """Change one of them."""
        self.add(replace(self.dialogues[name], **values))

    def change_every(self, **values: Any) -> None:
        """Change all of them."""
        self.add(*(replace(one, **values) for one in self.dialogues.values()))

    def remove(self, name: str) -> None:
        """Write every table without one."""
        del self.dialogues[name]
        self.write()

    def release(self, retracted: Collection[str] = (), **rules: Any) -> Release:
        """Publish, under standard rules but for those given."""
        return make_release(
            self.lake,
            ReleaseRules(**rules),
            self.expected,
            retracted,
        )

    expected: ClassVar[Expected] = Expected(
        SCENARIOS, load_profile(PROFILE), load_prompts("standard"), JudgeRules(), "rules"
    )

    def write(self) -> None:
        """Write seeds, plans, and every partition."""
        for shard, members in self._groups(lambda one: one.shard):
            source = members[0].source
            seeds = SEEDS.frame(self._seed(one, row) for row, one in enumerate(members))
            self.lake.write(SEEDS, {"source": source, "shard": shard}, seeds, fingerprint=stable_hash(shard))
            plans = DIALOGUE_PLANS.frame(map(self._plan, members))
            self.lake.write(DIALOGUE_PLANS, {"shard": shard}, plans, fingerprint=self.plans_fingerprint(shard))
        for (scenario, shard), _ in self._groups(lambda one: (one.scenario, one.shard)):
            self.write_partition(scenario, shard)

    def plans_fingerprint(self, shard: str) -> str:
        """Changes whenever a dialogue of the shard does."""
        return stable_hash("plans", shard, [repr(one) for one in self.dialogues.values() if one.shard == shard])

    def write_partition(
        self,
        scenario: str,
        shard: str,
        fingerprints: tuple[str, str] | None = None,
        gate: Gate = "passed",
        profile: str = PROFILE,
    ) -> None:
        """Write one partition of dialogues and scores, current unless other fingerprints are given."""
        members = [one for one in self.dialogues.values() if (one.scenario, one.shard) == (scenario, shard)]
        keys = {"scenario": scenario, "shard": shard}
        generated, judged = fingerprints or self.expected.fingerprints(self.plans_fingerprint(shard), "", scenario)
        facts = {"profile": profile, "limits": load_quality_rules("standard").limits.model_dump(mode="json")}
        dialogues = DIALOGUES.frame(map(self._dialogue, members))
        written = self.lake.write(DIALOGUES, keys, dialogues, fingerprint=generated, facts=facts)
        scores = SCORED.frame(map(self._scores, members))
        self.lake.write(SCORED, keys, scores, fingerprint=judged, gate=gate, facts=facts, made_from=written)

    def _groups(self, key: Any) -> list[tuple[Any, list[TinyDialogue]]]:
        found: dict[Any, list[TinyDialogue]] = {}
        for one in self.dialogues.values():
            found.setdefault(key(one), []).append(one)
        return list(found.items())

    def _seed(self, one: TinyDialogue, row: int) -> dict[str, Any]:
        return seed_row(
            one.seed_id,
            one.shard,
            one.question,
            one.answer,
            system=one.system,
            reference_final=one.reference_final,
            tests=one.tests,
            representative=self._seed_id(one.representative or one.name),
            licence=one.licence,
            origin_row=row,
        )

    def _plan(self, one: TinyDialogue) -> dict[str, Any]:
        return plan_row(
            one.seed_id,
            one.shard,
            one.scenario,
            representative=self._seed_id(one.representative or one.name),
            split=one.split,
            partner_seed_id=self._seed_id(one.partner),
        )

    def _seed_id(self, name: str | None) -> str | None:
        return self.dialogues[name].seed_id if name else None

    def _dialogue(self, one: TinyDialogue) -> dict[str, Any]:
        usual = (one.question, f"I think {one.name} makes one.", f"Look at {one.name} again.", f"So {one.answer}.")
        model = {"model": "SmolLM2-135M-Instruct", "temperature": 0.8, "prompt_version": "0123456789abcdef"}
        turns = turn_rows(one.scenario, one.words or usual, **model, finish_reason="stop")
        return dialogue_row(
            one.dialogue_id,
            one.seed_id,
            one.shard,
            one.scenario,
            split=one.split,
            partner_seed_id=self._seed_id(one.partner),
            status=one.status,
            status_reason=None if one.status == "complete" else "endless: the weak student repeats itself",
            turns=[turn | {"final_answer": found} for turn, found in zip(turns, one.finals, strict=False)],
        )

    def _scores(self, one: TinyDialogue) -> dict[str, Any]:
        accepted = one.accepted and one.status == "complete"
        values = {
            **self._dialogue(one),
            "structure_ok": True,
            "final_answer": "right",
            "reference_overlap": 1.0,
            "code_parses": None,
            "gave_away_result": False,
            "false_claim": False,
            "betrays_reference": False,
            "copied_share": 0.0,
            "english": True,
            "repetition": 0.0,
            "words": 20,
            "truncated": False,
            "refused": False,
            "secrets": 0,
            "judge_status": "judged",
            "judge_correct": accepted,
            "judge_error_class": "none",
            "judge_findings": [DOUBTFUL] if "doubtful_reference" in one.reasons else list(one.findings),
            "flags": [],
            "judge_model": "SmolLM2-135M-Instruct",
            "quality_score": one.score,
            "accepted": accepted,
            "rejection_reasons": [] if accepted else list(one.reasons or ("judged_wrong",)),
            "decided_by": "rules",
            **one.signals,
        }
        return {name: values[name] for name in SCORED.columns if name in values}


QUESTIONS: Sequence[tuple[str, str, str]] = (
    ("apples", "Ann has three apples and buys four more. How many apples does she have now?", "7"),
    ("trains", "A train covers sixty miles in an hour. How far does it go in three hours?", "180"),
    ("loop", "Write a Python loop that prints the numbers from one to five.", "for n in range(1, 6): print(n)"),
    ("capital", "Which city is the capital of France?", "Paris"),
    ("eggs", "A box holds a dozen eggs and two are broken. How many are whole?", "10"),
    ("moon", "How many moons does the planet Mars have?", "2"),
    ("paint", "One tin paints five doors. How many tins do twenty doors need?", "4"),
    ("verbs", "Name the past tense of the verb to swim.", "swam"),
)
SPLITS = ("train", "train", "train", "train", "train", "train", "validation", "test")


def eight_seeds(root: str) -> TinyLake:
    """Eight seeds of one source in three splits and three scenarios; one analogy has a partner, one is rejected."""
    made_of = [
        TinyDialogue(name, question, answer, NAMES[place % 3], SPLITS[place])
        for place, (name, question, answer) in enumerate(QUESTIONS)
    ]
    made = TinyLake(Lake.at(root), {one.name: one for one in made_of})
    made.dialogues["loop"] = replace(made.dialogues["loop"], partner="apples")
    made.dialogues["moon"] = replace(made.dialogues["moon"], accepted=False)
    made.write()
    return made
