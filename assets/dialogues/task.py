"""A dialogue to generate: a dialogue plan with the texts of its seeds, as plain data."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from assets.dialogues.questions import Question, Questions
from resources.identity import stable_hash


@dataclass(frozen=True, slots=True)
class DialogueTask:
    """One dialogue to generate."""

    dialogue_id: str
    scenario: str
    shard: str
    source: str
    domain: str
    split: str
    question: Question
    similar: Question | None = None  # the second question, where the scenario needs one
    repetitions: int | None = None  # the number that was drawn for its plan
    generation: int = 0  # how often a regeneration of the dialogue was requested
    retracted: bool = False  # one of its seeds was taken down: no model is called

    @property
    def sample(self) -> str:
        """Its name in the journal: another one for each generation, so that the calls are new."""
        return self.dialogue_id if self.generation == 0 else f"{self.dialogue_id}.{self.generation}"


def dialogue_id(scenario: str, seed_id: str, partner_seed_id: str | None) -> str:
    """32 hex digits over scenario and seeds; no model, prompt or partition is part of it."""
    return stable_hash("dialogue", scenario, seed_id, partner_seed_id)


def tasks_of(
    plans: pl.DataFrame,
    questions: Questions,
    scenario: str,
    generations: Mapping[str, int],
    retracted: Collection[str] = frozenset(),
) -> list[DialogueTask]:
    """The tasks of one shard in one scenario, ordered by seed_id.

    Args:
        plans: the shard's rows of `dialogue_plans`, all scenarios.
        questions: every seed and partner of these plans.
        scenario: which plans to take.
        generations: dialogue_id to generation, where a regeneration was requested.
        retracted: seed_ids that were taken down.

    Raises:
        KeyError: a plan names a seed that is not among `questions`; the message is the seed_id.
    """
    tasks = []
    for plan in plans.filter(pl.col("scenario") == scenario).sort("seed_id").iter_rows(named=True):
        partner = plan["partner_seed_id"]
        name = dialogue_id(scenario, plan["seed_id"], partner)
        tasks.append(
            DialogueTask(
                dialogue_id=name,
                scenario=scenario,
                shard=plan["shard"],
                source=plan["source"],
                domain=plan["domain"],
                split=plan["split"],
                question=questions[plan["seed_id"]],
                similar=questions[partner] if partner is not None else None,
                repetitions=plan["repetitions"],
                generation=generations.get(name, 0),
                retracted=plan["seed_id"] in retracted or partner in retracted,
            )
        )
    return tasks
