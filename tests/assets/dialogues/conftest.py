"""A lake with seeds and plans, and dialogues where a test writes them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.inputs import PartitionInputs, read_inputs
from assets.dialogues.questions import PartnerQuestions
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.seeds.schema import SEEDS
from resources.chat.profile import Profile
from resources.identity import stable_hash
from resources.lake.records import Gate
from resources.lake.tables import Lake
from tests.assets.dialogues.scripted import PROFILE
from tests.lake_rows import dialogue_row, plan_row, seed_row
from tests.shipped_scenarios import SCENARIOS


@pytest.fixture(scope="session")
def profile() -> Profile:
    """The default profile."""
    return PROFILE


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake.at(str(tmp_path / "lake"))


@dataclass(frozen=True)
class PlannedLake:
    """A lake with seeds and plans, and no dialogues yet."""

    lake: Lake

    def plan(self, shard: str, scenarios: Sequence[str], partner_of_first: str | None = None) -> list[str]:
        """Write a shard of the source `sums`: a seed and a plan for each scenario named; the seed_ids, in order.

        Args:
            shard: its name, `sums-0000`.
            scenarios: of its seeds.
            partner_of_first: the partner of the analogies; by default the last seed of the shard.
        """
        seed_ids = sorted(stable_hash(shard, place) for place in range(len(scenarios)))
        seeds = [
            seed_row(
                seed_id,
                shard,
                f"In class {shard} Tom has {place} apples and buys 4 more. How many apples does he have now?",
                f"{place} + 4 = {place + 4}. The answer is {place + 4}.",
                reference_final=str(place + 4),
                origin_row=place,
            )
            for place, seed_id in enumerate(seed_ids)
        ]
        self.lake.write(SEEDS, {"source": "sums", "shard": shard}, SEEDS.frame(seeds), fingerprint=shard)
        plans = [
            plan_row(
                seed_id,
                shard,
                scenario,
                repetitions=1 + place % 2 if scenario == "debate" else None,
                partner_seed_id=(partner_of_first or seed_ids[-1]) if scenario == "analogy" else None,
            )
            for place, (seed_id, scenario) in enumerate(zip(seed_ids, scenarios, strict=True))
        ]
        self.lake.write(DIALOGUE_PLANS, {"shard": shard}, DIALOGUE_PLANS.frame(plans), fingerprint=stable_hash(plans))
        return seed_ids

    def read(self, key: str, retracted: Collection[str] = ()) -> PartitionInputs:
        """The inputs of a partition."""
        partners = PartnerQuestions(self.lake, DIALOGUE_PLANS, [key], SCENARIOS)
        return read_inputs(self.lake, key, SCENARIOS, PROFILE, retracted, partners)

    def write_dialogues(
        self, key: str, statuses: Sequence[str] = (), gate: Gate = "passed", model: str = "any"
    ) -> None:
        """Write a partition as if it had been generated: 6 seconds in 3 calls, 2 turns and 1 refused per dialogue."""
        inputs = self.read(key)
        turn = {"speaker": "student A", "role": "debater_a", "side": "gpt", "text": "7", "model": model}
        rows = [
            dialogue_row(
                task.dialogue_id,
                task.question.seed_id,
                task.shard,
                task.scenario,
                generation=task.generation,
                status=statuses[place] if statuses else "complete",
                turns=[turn | {"prompt_tokens": 20, "completion_tokens": 10}] * 2,
                discarded=[{"turn": 2, "regeneration": 0, "reason": "empty", "text": ""}],
            )
            for place, task in enumerate(inputs.tasks)
        ]
        facts = {"made_by": inputs.made_by, "usage": {"calls": 3, "wait_seconds": 6.0}}
        frame = DIALOGUES.frame(rows)
        self.lake.write(DIALOGUES, inputs.keys, frame, fingerprint=inputs.fingerprint, gate=gate, facts=facts)

    def request_regeneration(self, key: str, dialogue: str) -> None:
        """Request that one dialogue is generated again."""
        scenario, shard = key.split("|")
        row = {"dialogue_id": dialogue, "generation": 1, "reason": "judged_wrong", "scenario": scenario, "shard": shard}
        keys = {"scenario": scenario, "shard": shard}
        self.lake.write(REGENERATIONS, keys, REGENERATIONS.frame([row]), fingerprint=f"{dialogue}1")


@pytest.fixture
def planned(lake: Lake) -> PlannedLake:
    """A lake to be planned: `planned.plan("sums-0000", ["debate", …])`."""
    return PlannedLake(lake)
