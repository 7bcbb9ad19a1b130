"""The runs, the estimate, the release and the nightly schedule agree on what is current, whatever the lake holds."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.selection import select_partitions
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.inputs import is_current
from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.framework.currency import NotCurrent, was_made_from_others
from assets.framework.partition_run import PartitionError, RunProgress
from assets.quality.configuration import load_quality_rules
from assets.quality.estimate import dry_run
from assets.quality.fingerprint import scored_fingerprint
from assets.quality.partition_status import expected_fingerprints, partition_statuses
from assets.quality.prompts import load_prompts
from assets.quality.schema import SCORED
from assets.quality.score_partition import DialogueScoring
from master_dagster.automation.due import NightlyLimits, choose_partitions
from resources.chat.profile import Profile, load_profile
from resources.chat.service import ChatService
from resources.lake.records import Gate, PartitionRecord
from resources.lake.tables import Lake
from tests.assets.quality.test_checks import dialogue
from tests.shipped_scenarios import SCENARIOS

SHARD, KEY = "sums-0000", "debate|sums-0000"
KEYS = {"scenario": "debate", "shard": SHARD}
PROMPTS, RULES, PROFILE = load_prompts("standard"), load_quality_rules("standard"), load_profile("laptop")
CLOSER = PROFILE.roles["debate_closer"].model_copy(update={"temperature": 1.5})
JUDGE = PROFILE.roles["judge"].model_copy(update={"model": "another"})
PROFILES = {
    "same": PROFILE,
    "another closer": PROFILE.model_copy(update={"roles": {**PROFILE.roles, "debate_closer": CLOSER}}),
    "another judge": PROFILE.model_copy(update={"roles": {**PROFILE.roles, "judge": JUDGE}}),
}
PLAN = {
    **dict.fromkeys(("seed_id", "representative"), "0" * 32),
    **{"source": "sums", "shard": SHARD, "domain": "math", "split": "train", "repetitions": 1},
    **dict.fromkeys(("scenario", "drawn_scenario"), "debate"),
}


@dataclass(frozen=True)
class Situation:
    """What happened to one partition, in this order; None: it was never written."""

    dialogues: tuple[Gate, str] | None  # gate, and the profile that generated them
    scores: tuple[Gate, str] | None  # gate, and the profile that judged
    is_rewritten: bool  # other dialogues of the same fingerprint were written after the scores
    scoring_clock: timedelta  # of the machine that scored, as compared with the one that wrote the dialogues
    regenerations: bool  # some of its dialogues are to be generated again
    are_plans_newer: bool

    def write(self, lake: Lake) -> None:
        plans = DIALOGUE_PLANS.frame([PLAN])
        lake.write(DIALOGUE_PLANS, {"shard": SHARD}, plans, fingerprint="plans")
        if self.dialogues:
            self._write_dialogues(lake)
        if self.scores:
            gate, profile = self.scores
            made_of = self._fingerprint(), PROFILES[profile], PROMPTS, RULES.judge, RULES.identity
            fingerprint = scored_fingerprint(*made_of)
            scoring = Lake(lake.store, now=lambda: datetime.now(UTC) + self.scoring_clock)
            made_from = lake.record(DIALOGUES, KEYS)
            scoring.write(SCORED, KEYS, SCORED.empty(), fingerprint=fingerprint, gate=gate, made_from=made_from)
        if self.dialogues and self.is_rewritten:
            self._write_dialogues(lake, dialogue(**KEYS))
        if self.regenerations:
            lake.write(REGENERATIONS, KEYS, REGENERATIONS.empty(), fingerprint="again")
        if self.are_plans_newer:
            lake.write(DIALOGUE_PLANS, {"shard": SHARD}, plans, fingerprint="other plans")

    def _write_dialogues(self, lake: Lake, *rows: dict[str, Any]) -> None:
        gate = self.dialogues[0] if self.dialogues else "passed"
        lake.write(DIALOGUES, KEYS, DIALOGUES.frame(rows), fingerprint=self._fingerprint(), gate=gate)

    def _fingerprint(self) -> str:
        profile = PROFILES[self.dialogues[1] if self.dialogues else "same"]
        return dialogue_fingerprint("plans", "", SCENARIOS["debate"], profile)


clocks = st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=-1)])
written = st.one_of(st.none(), st.tuples(st.sampled_from(get_args(Gate)), st.sampled_from(sorted(PROFILES))))


def expected_reason(situation: Situation, dialogues_current: bool, scores_current: bool) -> NotCurrent | None:
    if situation.dialogues is None or situation.scores is None:
        return "missing"
    if "failed" in (situation.dialogues[0], situation.scores[0]):
        return "failed"
    if situation.is_rewritten:
        assert not scores_current
    return None if dialogues_current and scores_current else "stale"


@settings(max_examples=150)
@given(st.builds(Situation, written, written, st.booleans(), clocks, st.booleans(), st.booleans()))
def test_all_callers_agree_on_what_is_current(situation: Situation) -> None:
    with TemporaryDirectory() as folder:
        lake = Lake.at(folder)
        situation.write(lake)
        dialogues_current = is_current(lake, KEY, SCENARIOS, PROFILE)
        scores_current = score_run_has_nothing_to_do(lake, PROFILE)
        expected = expected_fingerprints(PROFILE, SCENARIOS, PROMPTS, RULES)
        statuses = partition_statuses(lake, expected)
        (status,) = [status for status in statuses if status.key == KEY]
        takes = dry_run(lake, [KEY], SCENARIOS, PROMPTS, PROFILE, RULES)
        release = select_partitions(lake, ReleaseRules(), PROFILE.name, expected, ())
        night = choose_partitions([status], (), {}, None, NightlyLimits(partitions=9))
    assert status.why == expected_reason(situation, dialogues_current, scores_current)
    assert (status.why is None) == (dialogues_current and scores_current)
    assert status.scores_only == (dialogues_current and not scores_current)
    assert (takes.current, takes.partitions) == ((1, 0) if status.why is None else (0, 1))
    assert takes.dialogues == (0 if dialogues_current else 1)
    assert [partition.key for partition in release.taken] == ([KEY] if status.why is None else [])
    assert [one.partition.key for one in night.chosen] == ([] if status.why is None else [KEY])


def score_run_has_nothing_to_do(lake: Lake, profile: Profile) -> bool:
    progress = RunProgress(lambda done, total, detail="", parts=tuple, share=None: None)
    try:
        return DialogueScoring(
            lake, ChatService(profile, lake.store), SCENARIOS, PROMPTS, RULES, [KEY], progress
        ).is_current(KEY)
    except PartitionError:
        return False


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(days=1)])
def test_scores_of_a_machine_whose_clock_is_behind_are_current(tmp_path: Path, behind: timedelta) -> None:
    lake = Lake.at(str(tmp_path))
    Situation(("passed", "same"), ("passed", "same"), False, -behind, False, False).write(lake)
    (status,) = [
        one
        for one in partition_statuses(lake, expected_fingerprints(PROFILE, SCENARIOS, PROMPTS, RULES))
        if one.key == KEY
    ]
    assert status.why is None


def test_partitions_of_an_earlier_version_are_compared_by_time() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    earlier, later = (PartitionRecord("t", {}, noon + timedelta(hours=n), "f", "passed", 1) for n in (0, 1))
    assert not was_made_from_others(later, earlier)
    assert was_made_from_others(earlier, later)
    assert not was_made_from_others(replace(earlier, content="1"), later)
    assert was_made_from_others(earlier, replace(later, content="1"))
