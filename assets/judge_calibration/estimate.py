"""What calibrating the judge would take, before anything is spent."""

from dataclasses import dataclass

from assets.dialogues.estimate import Estimate, estimate, measured_averages
from assets.framework.currency import why_not_current
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.judge_calibration.calibration import calibration_fingerprint, judge_identity
from assets.judge_calibration.faults import KINDS
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from assets.quality.configuration import QualityRules
from assets.quality.estimate import judge_calls
from assets.quality.partition_status import expected_fingerprints, partition_statuses
from resources.chat.profile import Profile
from resources.lake.tables import Lake


@dataclass(frozen=True, slots=True)
class CalibrationEstimate:
    """What `judge_calibration` would take at most."""

    dialogues: int  # that faults are planted into
    items: int  # these dialogues untouched, and with each kind of fault
    takes: Estimate


def estimate_calibration(
    lake: Lake, before: Estimate, scenarios: Scenarios, prompts: PromptBook, profile: Profile, rules: QualityRules
) -> CalibrationEstimate:
    """What calibrating the judge would take at most: each sampled dialogue can have each kind of fault.

    Nothing where the rules decide alone, where the calibration is current, or where there are no dialogues.

    Args:
        lake: its index is read, and the newest dialogues for what models take.
        before: what is generated and judged before.
        scenarios, prompts, profile, rules: those of the run.
    """
    statuses = partition_statuses(lake, expected_fingerprints(profile, scenarios, prompts, rules))
    partitions = [status for status in statuses if status.why is None]
    judge = judge_identity(profile, prompts, rules.judge)
    record = lake.record(JUDGE_CALIBRATION, {"judge": judge})
    current = why_not_current(record, calibration_fingerprint(partitions, judge, rules)) is None
    needed = profile.judging != "rules_alone" and (before.partitions or not current)
    kept = [status.dialogues for status in statuses if status.why is None or status.scores_only]
    there = before.dialogues + sum(record.rows for record in kept if record)
    dialogues = min(rules.calibration.dialogues, there) if needed else 0
    items = dialogues * (1 + len(KINDS))
    turns = judge_calls(profile, rules.judge, items)
    return CalibrationEstimate(
        dialogues, items, estimate(turns, profile, measured_averages(lake, profile), batches=False)
    )
