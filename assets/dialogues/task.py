"""What is taught: a plan with the texts of its seeds, as plain data."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.framework.partitions import Scenario
from resources.identity import stable_hash


@dataclass(frozen=True, slots=True)
class Question:
    """A seed: what is asked, and the answer that the class must not hear of before it gave its own."""

    seed_id: str
    text: str  # as the teacher poses it
    reference: str
    reference_final: str | None  # the result, where one could be read off the reference
    domain: str  # "math", "code" or "general"
    system: str | None = None  # how the question is meant, where the seed says so

    @property
    def in_full(self) -> str:
        """What a model reads: the question below its system prompt. The dialogue itself holds `text` alone."""
        return f"{self.system}\n\n{self.text}" if self.system else self.text


@dataclass(frozen=True, slots=True)
class DialogueTask:
    """One dialogue to be had."""

    dialogue_id: str
    scenario: Scenario
    shard: str
    source: str
    domain: str
    split: str
    question: Question
    similar: Question | None = None  # the second question of an analogy
    debate_rounds: int | None = None
    generation: int = 0  # how often the dialogue was asked for anew
    retracted: bool = False  # one of its seeds was taken down: nobody is to be asked

    @property
    def sample(self) -> str:
        """Its name in the journal: another one for each generation, so that the calls are new."""
        return self.dialogue_id if self.generation == 0 else f"{self.dialogue_id}.{self.generation}"


def dialogue_id(scenario: str, seed_id: str, partner_seed_id: str | None) -> str:
    """32 hex digits that stand for what is taught how; no model, prompt or partition is part of it."""
    return stable_hash("dialogue", scenario, seed_id, partner_seed_id)


def tasks_of(
    plans: pl.DataFrame,
    seeds: Mapping[str, Mapping[str, Any]],
    scenario: Scenario,
    generations: Mapping[str, int],
    retracted: Collection[str] = frozenset(),
) -> list[DialogueTask]:
    """The tasks of one shard in one scenario, ordered by seed_id.

    Args:
        plans: the shard's rows of `dialogue_plans`, all scenarios.
        seeds: rows of `raw_seeds` by seed_id; every seed and partner of these plans.
        scenario: which plans to take.
        generations: dialogue_id to generation, where a dialogue was asked for anew.
        retracted: seed_ids that were taken down.

    Raises:
        KeyError: a plan names a seed that `seeds` does not hold; the message is the seed_id.
    """
    tasks = []
    for plan in plans.filter(pl.col("scenario") == scenario.value).sort("seed_id").iter_rows(named=True):
        partner = plan["partner_seed_id"]
        name = dialogue_id(scenario.value, plan["seed_id"], partner)
        tasks.append(
            DialogueTask(
                dialogue_id=name,
                scenario=scenario,
                shard=plan["shard"],
                source=plan["source"],
                domain=plan["domain"],
                split=plan["split"],
                question=question_of(seeds[plan["seed_id"]]),
                similar=question_of(seeds[partner]) if partner is not None else None,
                debate_rounds=plan["debate_rounds"],
                generation=generations.get(name, 0),
                retracted=plan["seed_id"] in retracted or partner in retracted,
            )
        )
    return tasks


def question_of(seed: Mapping[str, Any]) -> Question:
    """A row of `raw_seeds` as a question."""
    return Question(
        seed_id=seed["seed_id"],
        text=seed["question"],
        reference=seed["answer"],
        reference_final=seed["reference_final"],
        domain=seed["domain"],
        system=seed["system"],
    )
