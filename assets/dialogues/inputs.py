"""What one partition of dialogues is generated from: its tasks, their fingerprint, and the rows that stay."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.questions import PartnerQuestions, read_questions
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.dialogues.task import DialogueTask, tasks_of
from assets.framework.currency import why_not_current
from assets.framework.partition_run import PartitionError
from assets.framework.partitions import partition_columns, source_of
from assets.framework.scenarios.scenario import Scenarios
from resources.chat.profile import Profile
from resources.lake.tables import Lake


@dataclass(frozen=True)
class PartitionInputs:
    """One partition of `scenario_dialogues` that is to be generated."""

    keys: Mapping[str, str]  # scenario and shard
    fingerprint: str
    made_by: str  # the fingerprint without regard to requested regenerations
    tasks: tuple[DialogueTask, ...]  # in order of seed_id
    kept: Mapping[str, Mapping[str, Any]]  # by dialogue_id: written rows that stay as they are
    kept_share: float = 0.0  # of the written rows


def read_inputs(
    lake: Lake,
    key: str,
    scenarios: Scenarios,
    profile: Profile,
    retracted: Collection[str],
    partners: PartnerQuestions,
) -> PartitionInputs:
    """Read one partition's plans and seeds.

    Where nothing changed but that some dialogues are to be regenerated, the rows of the others are kept: their answers
    are not even looked up in the journal, which may have been deleted.

    Raises:
        PartitionError: its dialogue plans are not written, or a planned seed is not in raw_seeds.
    """
    keys = partition_columns(key)
    shard, scenario = keys["shard"], keys["scenario"]
    made_by, fingerprint = _fingerprints(lake, key, scenarios, profile)
    plans = lake.read(DIALOGUE_PLANS, [keys]).filter(pl.col("scenario") == scenario)
    questions = read_questions(lake, source_of(shard), [shard], plans["seed_id"])
    generations = dict(lake.read(REGENERATIONS, [keys]).select("dialogue_id", "generation").iter_rows())
    try:
        tasks = tasks_of(plans, {**partners.read(), **questions}, scenario, generations, retracted)
    except KeyError as missing:
        raise PartitionError(
            f"{key}: the seed {missing.args[0]} is planned but not in raw_seeds; restore the lake's raw_seeds files"
        ) from None
    kept: dict[str, Mapping[str, Any]] = {}
    record = lake.record(DIALOGUES, keys)
    if record and lake.facts(DIALOGUES, keys).get("made_by") == made_by:
        complete = lake.read(DIALOGUES, [keys]).filter(pl.col("status") == "complete")
        wanted = {(task.dialogue_id, task.generation) for task in tasks if not task.retracted}
        kept = {
            row["dialogue_id"]: row
            for row in complete.iter_rows(named=True)
            if (row["dialogue_id"], row["generation"]) in wanted
        }
    kept_share = len(kept) / record.rows if record and kept else 0.0
    return PartitionInputs(keys, fingerprint, made_by, tuple(tasks), kept, kept_share)


def is_current(lake: Lake, key: str, scenarios: Scenarios, profile: Profile) -> bool:
    """Whether a partition passed its gate and was generated from the present plans, prompts and models.

    Raises:
        PartitionError: its dialogue plans are not written.
    """
    fingerprint = _fingerprints(lake, key, scenarios, profile)[1]
    return why_not_current(lake.record(DIALOGUES, partition_columns(key)), fingerprint) is None


def _fingerprints(lake: Lake, key: str, scenarios: Scenarios, profile: Profile) -> tuple[str, str]:
    """The fingerprint that the partition would have now, without and with its requested regenerations."""
    keys = partition_columns(key)
    plans, requested = lake.record(DIALOGUE_PLANS, keys), lake.record(REGENERATIONS, keys)
    if plans is None:
        raise PartitionError(
            f"{key}: shard {keys['shard']} has no dialogue plans; materialise dialogue_plans for it first"
        )
    made_by, fingerprint = (
        dialogue_fingerprint(plans.fingerprint, regenerations, scenarios[keys["scenario"]], profile)
        for regenerations in ("", requested.fingerprint if requested else "")
    )
    return made_by, fingerprint
