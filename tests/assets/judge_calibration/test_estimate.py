"""What a calibration is estimated to take, against what it takes."""

from typing import Any

import pytest

from assets.dialogues.estimate import Estimate
from assets.judge_calibration.calibration import calibrate
from assets.judge_calibration.estimate import CalibrationEstimate, estimate_calibration

NOTHING_DUE = Estimate(partitions=0, current=3, dialogues=0, roles=(), hours=0.0)
FOUR_DUE = Estimate(partitions=1, current=3, dialogues=4, roles=(), hours=0.0)


def estimated(judged: Any, before: Estimate = NOTHING_DUE) -> CalibrationEstimate:
    work = judged.work
    return estimate_calibration(work.lake, before, work.scenarios, work.prompts, judged.profile, judged.rules)


def test_a_calibration_asks_no_more_than_estimated_and_a_current_one_nothing(judged: Any) -> None:
    before = estimated(judged)
    assert (before.dialogues, before.items) == (8, 72)
    calibrate(judged.work)
    assert 0 < len(judged.endpoint.chats) <= before.items <= before.takes.calls
    after = estimated(judged)
    assert (after.items, after.takes.calls) == (0, 0)


@pytest.mark.parametrize(("sampled", "dialogues"), [(60, 12), (5, 5)])
def test_dialogues_that_are_generated_before_are_sampled_too(judged: Any, sampled: int, dialogues: int) -> None:
    rules = judged.rules.calibration.model_copy(update={"dialogues": sampled})
    judged.rules = judged.rules.model_copy(update={"calibration": rules})
    assert estimated(judged, FOUR_DUE).dialogues == dialogues


def test_where_the_rules_decide_alone_nothing_is_estimated(judged: Any) -> None:
    judged.profile = judged.profile.model_copy(update={"judging": "rules_alone"})
    assert estimated(judged, FOUR_DUE).items == 0
