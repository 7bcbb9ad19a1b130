"""What the lake has for one partition of dialogues: its tasks, their fingerprint, and the rows that stay as they are."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.dialogues.task import DialogueTask, tasks_of
from assets.framework.currency import why_not_current
from assets.framework.partition_run import PartitionError
from assets.framework.partitions import Scenario, partition_columns, source_of
from assets.framework.prompts import PromptBook
from assets.seeds.schema import SEEDS
from resources.chat.profile import Profile
from resources.lake.tables import Lake


@dataclass(frozen=True)
class PartitionInputs:
    """One partition of `scenario_dialogues` that is to be generated."""

    key: str  # `debate|x-0003`
    scenario: Scenario
    shard: str
    fingerprint: str
    made_by: str  # the fingerprint without regard to requested regenerations
    tasks: tuple[DialogueTask, ...]  # in order of seed_id
    kept: Mapping[str, Mapping[str, Any]]  # by dialogue_id: written rows that stay as they are

    @property
    def keys(self) -> dict[str, str]:
        """The partition's columns."""
        return {"scenario": self.scenario.value, "shard": self.shard}


def read_inputs(
    lake: Lake, key: str, prompts: PromptBook, profile: Profile, retracted: Collection[str] = frozenset()
) -> PartitionInputs:
    """Read one partition's plans and seeds.

    Where nothing changed but that some dialogues are to be regenerated, the rows of the others are kept: their answers
    are not even looked up in the journal, which may have been deleted.

    Raises:
        PartitionError: its dialogue plans are not written, or a planned seed is not in raw_seeds.
    """
    columns = partition_columns(key)
    scenario, shard = Scenario(columns["scenario"]), columns["shard"]
    made_by, fingerprint = _fingerprints(lake, key, prompts, profile)
    plans = lake.read(DIALOGUE_PLANS, [{"shard": shard}]).filter(pl.col("scenario") == scenario.value)
    generations = dict(lake.read(REGENERATIONS, [columns]).select("dialogue_id", "generation").iter_rows())
    try:
        tasks = tasks_of(plans, _seeds(lake, shard, plans), scenario, generations, retracted)
    except KeyError as missing:
        raise PartitionError(
            f"{key}: the seed {missing.args[0]} is planned but not in raw_seeds; restore the lake's raw_seeds files"
        ) from None
    kept: dict[str, Mapping[str, Any]] = {}
    if lake.record(DIALOGUES, columns) and lake.facts(DIALOGUES, columns).get("made_by") == made_by:
        complete = lake.read(DIALOGUES, [columns]).filter(pl.col("status") == "complete")
        wanted = {(task.dialogue_id, task.generation) for task in tasks if not task.retracted}
        kept = {
            row["dialogue_id"]: row
            for row in complete.iter_rows(named=True)
            if (row["dialogue_id"], row["generation"]) in wanted
        }
    return PartitionInputs(key, scenario, shard, fingerprint, made_by, tuple(tasks), kept)


def is_current(lake: Lake, key: str, prompts: PromptBook, profile: Profile) -> bool:
    """Whether a partition passed its gate and was generated from the present plans, prompts and models.

    Raises:
        PartitionError: its dialogue plans are not written.
    """
    fingerprint = _fingerprints(lake, key, prompts, profile)[1]
    return why_not_current(lake.record(DIALOGUES, partition_columns(key)), fingerprint) is None


def _fingerprints(lake: Lake, key: str, prompts: PromptBook, profile: Profile) -> tuple[str, str]:
    """The fingerprint that the partition would have now, without and with its requested regenerations."""
    columns = partition_columns(key)
    plan = lake.record(DIALOGUE_PLANS, {"shard": columns["shard"]})
    if plan is None:
        raise PartitionError(
            f"{key}: shard {columns['shard']} has no dialogue plans; materialise dialogue_plans for it first"
        )
    requested = lake.record(REGENERATIONS, columns)
    scenario = Scenario(columns["scenario"])
    made_by = dialogue_fingerprint(plan.fingerprint, "", scenario, prompts, profile)
    if requested is None:
        return made_by, made_by
    return made_by, dialogue_fingerprint(plan.fingerprint, requested.fingerprint, scenario, prompts, profile)


def _seeds(lake: Lake, shard: str, plans: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Every seed and partner of `plans`, by seed_id; partners may lie in other shards of the source."""
    source = source_of(shard)
    rows = lake.read(SEEDS, [{"source": source, "shard": shard}]).rows_by_key(
        "seed_id", named=True, unique=True, include_key=True
    )
    elsewhere = [seed_id for seed_id in plans["partner_seed_id"].drop_nulls().unique() if seed_id not in rows]
    if elsewhere:
        others = [
            record
            for record in lake.records(SEEDS)
            if record.keys["source"] == source and record.keys["shard"] != shard
        ]
        query = "SELECT * FROM others WHERE list_contains($ids, seed_id)"
        with lake.connect([SEEDS], only={"others": others}) as connection:
            cursor = connection.execute(query, {"ids": elsewhere})
            names = [column[0] for column in cursor.description or []]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        rows |= {row["seed_id"]: row for row in found}
    return rows
