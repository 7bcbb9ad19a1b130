"""The status of every planned partition: what the lake has of it, and why it is not current."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.framework.currency import NotCurrent, was_made_from_others, why_not_current, worst
from assets.framework.partitions import Scenario
from assets.framework.prompts import PromptBook
from assets.quality.configuration import QualityRules
from assets.quality.fingerprint import scored_fingerprint
from assets.quality.schema import SCORED
from resources.chat.profile import Profile
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake, Table

# (fingerprint of the shard's plans, of its regenerations, scenario) -> fingerprints of dialogues and of scores.
Expected = Callable[[str, str, Scenario], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One scenario of one planned shard. `why` says why it is not current; None: it is."""

    scenario: Scenario
    shard: str
    plans: PartitionRecord
    dialogues: PartitionRecord | None
    scored: PartitionRecord | None
    why: NotCurrent | None
    scores_only: bool = False  # the dialogues are current: nothing but their scores is due

    @property
    def key(self) -> str:
        """As Dagster writes it: `debate|x-0003`."""
        return f"{self.scenario.value}|{self.shard}"

    @property
    def scores_are_of_others(self) -> bool:
        """Whether other dialogues were scored than those that the partition has now."""
        return bool(self.scored and was_made_from_others(self.scored, self.dialogues))


def expected_fingerprints(profile: Profile, prompts: PromptBook, rules: QualityRules) -> Expected:
    """The fingerprints that current partitions have under these models, prompts and rules."""
    rules_identity = rules.identity  # reads the file of manual decisions: once, not once per partition

    def expected(plans: str, regenerations: str, scenario: Scenario) -> tuple[str, str]:
        dialogues = dialogue_fingerprint(plans, regenerations, scenario, prompts, profile)
        return dialogues, scored_fingerprint(dialogues, profile, prompts, rules_identity)

    return expected


def partition_statuses(lake: Lake, expected: Expected) -> list[PartitionStatus]:
    """Every scenario of every planned shard, in the order of shard and scenario.

    A partition is `missing` where its dialogues or their scores were never written, `failed` where the gate of either
    failed, and `stale` where either was made by other means than the present ones, or the scores are those of
    other dialogues. Reads the lake's index only: four listings, whatever the number of partitions.
    """
    dialogues, scored = _by_name(lake, DIALOGUES), _by_name(lake, SCORED)
    regenerations = _by_name(lake, REGENERATIONS)
    statuses = []
    for plans in lake.records(DIALOGUE_PLANS):
        for scenario in sorted(Scenario):
            key = f"{scenario.value}|{plans.keys['shard']}"
            requested = regenerations.get(key)
            current = expected(plans.fingerprint, requested.fingerprint if requested else "", scenario)
            dialogues_record, scored_record = dialogues.get(key), scored.get(key)
            of_dialogues = why_not_current(dialogues_record, current[0])
            of_scores = why_not_current(scored_record, current[1], dialogues_record)
            statuses.append(
                PartitionStatus(
                    scenario,
                    plans.keys["shard"],
                    plans,
                    dialogues_record,
                    scored_record,
                    why=worst(of_dialogues, of_scores),
                    scores_only=of_dialogues is None and of_scores is not None,
                )
            )
    return statuses


def _by_name(lake: Lake, table: Table) -> Mapping[str, PartitionRecord]:
    return {record.name: record for record in lake.records(table)}
