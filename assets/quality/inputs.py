"""Dialogues from the lake, each with its seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.schema import DIALOGUES
from assets.dialogues.task import Question, question_of
from assets.framework.partition_run import PartitionError
from assets.framework.partitions import Scenario, partition_columns, source_of
from assets.quality.dialogue_input import DialogueInput, dialogue_inputs
from assets.seeds.schema import SEEDS
from assets.seeds.shards import held_shards
from resources.lake.tables import Lake

_COLUMNS = ("seed_id", "system", "question", "answer", "reference_final", "domain")

Questions = Mapping[str, Question]


def read_dialogues(
    lake: Lake, keys: Mapping[str, str], partners: Questions
) -> tuple[list[dict[str, Any]], list[DialogueInput]]:
    """One partition of dialogues, ordered by dialogue_id: its rows, and the same dialogues with their seeds.

    Args:
        lake: where they are.
        keys: scenario and shard.
        partners: the second questions of its analogies, see `partner_questions`.

    Raises:
        PartitionError: a seed is not in the lake.
    """
    shard = keys["shard"]
    rows = lake.read(DIALOGUES, [keys]).sort("dialogue_id").to_dicts()
    own = _questions(lake, source_of(shard), [shard], {row["seed_id"] for row in rows})
    plans = lake.read(DIALOGUE_PLANS, [{"shard": shard}], ["seed_id", "debate_rounds"])
    try:
        return rows, dialogue_inputs(rows, {**partners, **own}, dict(plans.iter_rows()))
    except KeyError as error:
        raise PartitionError(
            f"dialogues of {keys['scenario']}|{shard} are about the seed {error.args[0]}, which is not in raw_seeds; "
            "materialise raw_seeds of its source, then the dialogues"
        ) from error


def partner_questions(lake: Lake, partitions: Iterable[str]) -> Questions:
    """The second questions of all analogies among these partitions (`analogy|x-0003`), in one pass over the seeds."""
    wanted: dict[str, set[str]] = {}
    for keys in map(partition_columns, partitions):
        if keys["scenario"] == Scenario.ANALOGY:
            named = lake.read(DIALOGUES, [keys], ["partner_seed_id"])["partner_seed_id"].drop_nulls()
            wanted.setdefault(source_of(keys["shard"]), set()).update(named)
    return {
        seed_id: question
        for source, seeds in wanted.items()
        for seed_id, question in _questions(lake, source, held_shards(lake, source), seeds).items()
    }


def _questions(lake: Lake, source: str, shards: Sequence[str], seeds: set[str]) -> dict[str, Question]:
    found: dict[str, Question] = {}
    for shard in shards:
        if len(found) == len(seeds):
            break
        rows = lake.read(SEEDS, [{"source": source, "shard": shard}], _COLUMNS)
        for row in rows.filter(pl.col("seed_id").is_in(list(seeds))).iter_rows(named=True):
            found[row["seed_id"]] = question_of(row)
    return found
