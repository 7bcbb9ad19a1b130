"""What the lake holds for one partition of dialogues: its tasks, what made them, and what is already there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.dialogues.task import DialogueTask, tasks_of
from assets.framework.partitions import Scenario, partition_columns, source_of
from assets.seeds.schema import SEEDS
from resources.chat.profile import Profile
from resources.lake.tables import Lake


class InputsError(Exception):
    """A partition cannot be taught from what the lake holds. The message says what is missing and what to do."""


@dataclass(frozen=True)
class PartitionInputs:
    """One partition of `scenario_dialogues`, ready to be taught."""

    key: str  # `debate|x-0003`
    scenario: Scenario
    shard: str
    fingerprint: str
    made_by: str  # the fingerprint without regard to what was asked for anew
    current: bool  # what the lake holds needs no work
    tasks: tuple[DialogueTask, ...]  # in order of seed_id
    held: Mapping[str, Mapping[str, Any]]  # by dialogue_id: written rows that stay as they are

    @property
    def keys(self) -> dict[str, str]:
        """The partition's columns."""
        return {"scenario": self.scenario.value, "shard": self.shard}


def read_inputs(
    lake: Lake, key: str, prompts: PromptBook, profile: Profile, retracted: Collection[str] = frozenset()
) -> PartitionInputs:
    """Read one partition's plans and seeds.

    Where nothing changed but that some dialogues were asked for anew, the others' rows are held: they are not even
    looked up in the journal, which may have been swept.

    Raises:
        InputsError: its dialogue plans are not written, or a planned seed is not there.
    """
    columns = partition_columns(key)
    scenario, shard = Scenario(columns["scenario"]), columns["shard"]
    made_by, fingerprint = _fingerprints(lake, key, prompts, profile)
    if is_current(lake, key, prompts, profile):
        return PartitionInputs(key, scenario, shard, fingerprint, made_by, True, (), {})
    plans = lake.read(DIALOGUE_PLANS, [{"shard": shard}]).filter(pl.col("scenario") == scenario.value)
    generations = dict(lake.read(REGENERATIONS, [columns]).select("dialogue_id", "generation").iter_rows())
    try:
        tasks = tasks_of(plans, _seeds(lake, shard, plans), scenario, generations, retracted)
    except KeyError as missing:
        raise InputsError(
            f"{key}: the seed {missing.args[0]} is planned but not in raw_seeds; restore the lake's raw_seeds files"
        ) from None
    held: dict[str, Mapping[str, Any]] = {}
    if lake.record(DIALOGUES, columns) and lake.facts(DIALOGUES, columns).get("made_by") == made_by:
        complete = lake.read(DIALOGUES, [columns]).filter(pl.col("status") == "complete")
        wanted = {(task.dialogue_id, task.generation) for task in tasks if not task.retracted}
        held = {
            row["dialogue_id"]: row
            for row in complete.iter_rows(named=True)
            if (row["dialogue_id"], row["generation"]) in wanted
        }
    return PartitionInputs(key, scenario, shard, fingerprint, made_by, False, tuple(tasks), held)


def is_current(lake: Lake, key: str, prompts: PromptBook, profile: Profile) -> bool:
    """Whether a partition is written, passed its gate, and was made by the present plans, prompts and models."""
    written = lake.record(DIALOGUES, partition_columns(key))
    if written is None or written.gate == "failed":
        return False
    try:
        return written.fingerprint == _fingerprints(lake, key, prompts, profile)[1]
    except InputsError:
        return False


def _fingerprints(lake: Lake, key: str, prompts: PromptBook, profile: Profile) -> tuple[str, str]:
    """What the partition's dialogues are made by, without and with what was asked for anew."""
    columns = partition_columns(key)
    plan = lake.record(DIALOGUE_PLANS, {"shard": columns["shard"]})
    if plan is None:
        raise InputsError(
            f"{key}: shard {columns['shard']} has no dialogue plans; materialise dialogue_plans for it first"
        )
    asked_anew = lake.record(REGENERATIONS, columns)
    scenario = Scenario(columns["scenario"])
    made_by = dialogue_fingerprint(plan.fingerprint, "", scenario, prompts, profile)
    if asked_anew is None:
        return made_by, made_by
    return made_by, dialogue_fingerprint(plan.fingerprint, asked_anew.fingerprint, scenario, prompts, profile)


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
