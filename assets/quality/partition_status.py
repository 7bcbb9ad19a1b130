"""The status of every planned partition: what the lake has of it, and why it is not current."""

from collections.abc import Mapping
from dataclasses import dataclass

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.framework.currency import NotCurrent, was_made_from_others, why_not_current, worst
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.configuration import JudgeRules, QualityRules
from assets.quality.fingerprint import scored_fingerprint
from assets.quality.schema import SCORED
from resources.chat.profile import Profile
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake, Table


@dataclass(frozen=True, slots=True)
class Expected:
    """What current partitions are made of: the present scenarios, models, prompts and rules."""

    scenarios: Scenarios
    profile: Profile
    prompts: PromptBook
    judging: JudgeRules
    rules: str  # `QualityRules.identity`

    def fingerprints(self, plans: str, regenerations: str, scenario: str) -> tuple[str, str]:
        """Those of the dialogues and of the scores, from those of the shard's plans and regenerations."""
        dialogues = dialogue_fingerprint(plans, regenerations, self.scenarios[scenario], self.profile)
        return dialogues, scored_fingerprint(dialogues, self.profile, self.prompts, self.judging, self.rules)


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One scenario of one planned shard. `why` says why it is not current; None: it is."""

    scenario: str
    shard: str
    plans: PartitionRecord
    dialogues: PartitionRecord | None
    scored: PartitionRecord | None
    why: NotCurrent | None
    scores_only: bool = False  # the dialogues are current: nothing but their scores is due

    @property
    def key(self) -> str:
        """As Dagster writes it: `debate|x-0003`."""
        return f"{self.scenario}|{self.shard}"

    @property
    def scores_are_of_others(self) -> bool:
        """Whether other dialogues were scored than those that the partition has now."""
        return bool(self.scored and was_made_from_others(self.scored, self.dialogues))


def expected_fingerprints(profile: Profile, scenarios: Scenarios, prompts: PromptBook, rules: QualityRules) -> Expected:
    """What current partitions are made of. Reads the file of manual decisions."""
    return Expected(scenarios, profile, prompts, rules.judge, rules.identity)


def partition_statuses(lake: Lake, expected: Expected) -> list[PartitionStatus]:
    """Every declared scenario of every planned shard, in the order of shard and scenario.

    A partition is `missing` where its dialogues or their scores were never written, `failed` where the gate of either
    failed, and `stale` where either was made by other means than the present ones, or the scores are those of
    other dialogues. Reads the lake's index only: four listings, whatever the number of partitions.
    """
    dialogues, scored = _by_name(lake, DIALOGUES), _by_name(lake, SCORED)
    regenerations = _by_name(lake, REGENERATIONS)
    statuses = []
    for plans in lake.records(DIALOGUE_PLANS):
        for scenario in sorted(expected.scenarios):
            key = f"{scenario}|{plans.keys['shard']}"
            requested = regenerations.get(key)
            current = expected.fingerprints(plans.fingerprint, requested.fingerprint if requested else "", scenario)
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


def scores_of_dialogues(lake: Lake) -> list[PartitionRecord]:
    """The scored partitions without those whose dialogues were generated again since. Reads the lake's index only."""
    dialogues = _by_name(lake, DIALOGUES)
    return [
        scored
        for scored in lake.records(SCORED)
        if scored.name in dialogues and not was_made_from_others(scored, dialogues[scored.name])
    ]


def _by_name(lake: Lake, table: Table) -> Mapping[str, PartitionRecord]:
    return {record.name: record for record in lake.records(table)}
