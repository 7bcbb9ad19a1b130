"""A small lake of error corrections, and a judge behind the fake endpoint."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.framework.partition_run import Outcomes, RunProgress, run_partitions
from assets.framework.partitions import partition_columns
from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.prompts import load_prompts
from assets.quality.schema import SCORED
from assets.quality.score_partition import DialogueScoring
from assets.seeds.schema import SEEDS
from resources.chat.profile import Endpoint, load_profile
from resources.chat.retries import RetryPolicy
from resources.chat.role_model import ModelPrice
from resources.chat.service import ChatService
from resources.identity import stable_hash
from resources.lake.tables import Lake
from tests.assets.quality.samples import CORRECTED, MARBLES
from tests.lake_rows import dialogue_row, plan_row, seed_row, turn_rows
from tests.shipped_scenarios import SCENARIOS

SCENARIO, SHARD = "error_correction", "sums-0000"


@pytest.fixture
def rules() -> QualityRules:
    """The shipped rules, but no dialogue without a verdict is tolerated."""
    rules = load_quality_rules("standard")
    return rules.model_copy(update={"judge": rules.judge.model_copy(update={"tolerated": 0})})


@dataclass
class SampleProject:
    """A lake with one shard of error corrections, and a judge."""

    lake: Lake
    base_url: str
    rules: QualityRules
    dialogues: dict[str, dict[str, Any]] = field(default_factory=dict)
    judging: str = "by_judge"  # of the profile

    key = f"{SCENARIO}|{SHARD}"

    def scoring(self, *keys: str, **judge: Any) -> DialogueScoring:
        """A run over these partitions; `judge` changes the judge's settings in the profile."""
        laptop = load_profile("laptop")
        roles = {**laptop.roles, "judge": laptop.roles["judge"].model_copy(update=judge)}
        prices = {roles["judge"].model: ModelPrice(prompt=0.1, completion=0.7)}
        changes = {
            "name": "tests",
            "judging": self.judging,
            "prices": prices,
            "endpoints": {"embedded": Endpoint(base_url=self.base_url)},
            "roles": roles,
        }
        retries = RetryPolicy(attempts=2, first_wait=0.001)
        service = ChatService(laptop.model_copy(update=changes), self.lake.store, retries=retries)
        progress = RunProgress(lambda done, total, detail="", parts=tuple, share=None: None)
        return DialogueScoring(self.lake, service, SCENARIOS, load_prompts("standard"), self.rules, keys, progress)

    def score(self, *keys: str, **judge: Any) -> Outcomes:
        """Run the scoring."""
        outcomes = Outcomes(keys or (self.key,))
        work = self.scoring(*outcomes.keys, **judge)
        asyncio.run(run_partitions(work, outcomes, address=self.lake.store.uri(SCORED.name)))
        return outcomes

    def scores(self, dialogue_id: str) -> dict[str, Any]:
        """The row of scores of one dialogue."""
        scores = self.lake.read(SCORED, [partition_columns(self.key)])
        return dict(scores.row(by_predicate=pl.col("dialogue_id") == dialogue_id, named=True))

    def add(self, name: str, texts: Sequence[str] = CORRECTED, **row: Any) -> str:
        """Add a dialogue, write every table, and give its dialogue_id."""
        turns = turn_rows(SCENARIO, texts)
        turns[1]["final_answer"] = row.get("first_answer", "wrong")
        self.dialogues[name] = {"turns": turns, "first_answer": "wrong", **row}
        self.write()
        return stable_hash("dialogue", name)

    def write(self) -> None:
        """Write seeds, plans and dialogues."""
        keys, shard = partition_columns(self.key), {"shard": SHARD}
        seed_ids = {name: stable_hash("seed", name) for name in self.dialogues}
        known = {"reference_final": MARBLES.reference_final}
        seeds = [seed_row(seed_id, SHARD, MARBLES.text, MARBLES.reference, **known) for seed_id in seed_ids.values()]
        fingerprint = stable_hash(seed_ids)
        self.lake.write(SEEDS, {"source": "sums", **shard}, SEEDS.frame(seeds), fingerprint=fingerprint)
        plans = [plan_row(seed_id, SHARD, SCENARIO) for seed_id in seed_ids.values()]
        self.lake.write(DIALOGUE_PLANS, shard, DIALOGUE_PLANS.frame(plans), fingerprint=fingerprint)
        rows = [
            dialogue_row(stable_hash("dialogue", name), seed_ids[name], SHARD, SCENARIO, **row)
            for name, row in self.dialogues.items()
        ]
        facts = {"profile": "tests"}
        self.lake.write(DIALOGUES, keys, DIALOGUES.frame(rows), fingerprint=stable_hash(rows), facts=facts)


@pytest.fixture
def project(tmp_path: Path, fake_endpoint: Any, rules: QualityRules) -> SampleProject:
    """An empty project whose judge is the fake endpoint."""
    return SampleProject(Lake.at(str(tmp_path)), fake_endpoint.base_url, rules)
