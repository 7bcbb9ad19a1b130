"""Which lessons are due: the one place that compares what the lake holds with what it should hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.lesson_plans.schema import LESSON_PLANS
from assets.partitions import Scenario
from assets.quality.configuration import QualityRules
from assets.quality.fingerprint import scored_fingerprint
from assets.quality.schema import SCORED
from resources.chat.profile import Profile
from resources.lake import Lake, PartitionRecord, Table

Why = Literal["missing", "failed", "stale"]


@dataclass(frozen=True, slots=True)
class Due:
    """One lesson (scenario and shard) that should be made, and why."""

    key: str  # as Dagster writes it: `debate|x-0003`
    why: Why
    planned_at: datetime


def due_lessons(lake: Lake, profile: Profile, prompts: PromptBook, rules: QualityRules) -> list[Due]:
    """Every planned lesson whose dialogues or scores are missing, failed their gate, or were made by other means.

    Reads the lake's index only: four listings, whatever the number of partitions. Oldest plan first.
    """
    dialogues = _by_name(lake, DIALOGUES)
    scored = _by_name(lake, SCORED)
    regenerations = _by_name(lake, REGENERATIONS)
    due = []
    for plan in lake.records(LESSON_PLANS):
        for scenario in Scenario:
            key = f"{scenario.value}|{plan.keys['shard']}"
            asked_anew = regenerations.get(key)
            expected = dialogue_fingerprint(
                plan.fingerprint, asked_anew.fingerprint if asked_anew else "", scenario, prompts, profile
            )
            why = _why(dialogues.get(key), expected) or _why(
                scored.get(key), scored_fingerprint(expected, profile, prompts, rules)
            )
            if why:
                due.append(Due(key, why, plan.written_at))
    return sorted(due, key=lambda lesson: (lesson.planned_at, lesson.key))


def _why(record: PartitionRecord | None, expected: str) -> Why | None:
    if record is None:
        return "missing"
    if record.fingerprint != expected:
        return "stale"
    return "failed" if record.gate == "failed" else None


def _by_name(lake: Lake, table: Table) -> Mapping[str, PartitionRecord]:
    return {record.name: record for record in lake.records(table)}
