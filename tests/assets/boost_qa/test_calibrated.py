"""Releases whose judge was calibrated: what the card says, and the gate on false passes."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from assets.boost_qa.release import ReleaseRefused
from assets.judge_calibration.calibration import judge_identity
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from tests.tiny_lake import TinyLake


@pytest.fixture
def judged(tiny_lake: TinyLake) -> TinyLake:
    """The tiny lake, with a profile whose judge decides."""
    profile = tiny_lake.expected.profile.model_copy(update={"judging": "by_judge"})
    cast("Any", tiny_lake).expected = replace(tiny_lake.expected, profile=profile)
    tiny_lake.write()
    return tiny_lake


def calibrate(tiny: TinyLake, caught: int, planted: int = 100, alarms: int = 0, untouched: int = 100) -> None:
    """Write a calibration of the judge with these numbers."""
    expected = tiny.expected
    keys = {"judge": judge_identity(expected.profile, expected.prompts, expected.judging)}
    verdicts = [("code_bug", number < caught) for number in range(planted)]
    verdicts += [("none", number < alarms) for number in range(untouched)]
    rows = [
        {
            **keys,
            "item_id": f"{number:04}",
            "dialogue_id": "one",
            "scenario": "debate",
            "domain": "math",
            "kind": kind,
            "rejected": rejected,
            "rejected_by_rules": False,
        }
        for number, (kind, rejected) in enumerate(verdicts)
    ]
    tiny.lake.write(JUDGE_CALIBRATION, keys, JUDGE_CALIBRATION.frame(rows), fingerprint=f"{caught} of {planted}")


def card_of(tiny: TinyLake) -> str:
    return Path(tiny.lake.store.uri(f"{tiny.release().folder}/README.md")).read_text(encoding="utf-8")


def test_the_card_gives_the_judges_rates_and_the_corrected_share_with_intervals(judged: TinyLake) -> None:
    calibrate(judged, caught=90)
    card = card_of(judged)
    assert "It passed 10.0% (5.5 to 17.4) of the faults, and rejected 0.0% (0.0 to 3.7)" in card
    assert "13.9% (" in card  # one of eight judged wrong, 0.125 / 0.9
    assert "| code bug | 100 | 90.0% (82.6 to 94.5) | 0% |" in card


def test_the_card_says_where_the_judge_was_not_calibrated_or_is_no_better_than_chance(judged: TinyLake) -> None:
    assert "The judge's own error rate was not measured." in card_of(judged)
    calibrate(judged, caught=50, alarms=50)
    assert "to correct the share above by them" in card_of(judged)


def test_the_manifest_has_the_figures_for_the_report(judged: TinyLake) -> None:
    assert judged.release().manifest["calibration"] == []
    calibrate(judged, caught=90)
    figures = judged.release().manifest["calibration"]
    assert [(row["errors"], row["of"]) for row in figures] == [(10, 100), (0, 100), (None, 8), (None, 7)]
    assert all(0 <= row["low"] <= row["share"] <= row["high"] <= 1 for row in figures)


def test_a_calibration_makes_another_release(judged: TinyLake) -> None:
    first = judged.release()
    calibrate(judged, caught=90)
    assert judged.release().id != first.id


@pytest.mark.parametrize(
    ("caught", "limit", "message"),
    [
        (None, 0.2, "its calibration is missing or has no verdicts; materialise judge_calibration"),
        (90, 0.1, r"passes 10.0% \(5.5 to 17.4\) of the planted faults.* at most 10.0%"),
        (90, 0.2, None),
    ],
)
def test_the_gate_on_false_passes_is_of_the_intervals_upper_end(
    judged: TinyLake, caught: int | None, limit: float, message: str | None
) -> None:
    if caught is not None:
        calibrate(judged, caught)
    if message is None:
        assert judged.release(maximum_false_pass=limit).id
        return
    with pytest.raises(ReleaseRefused, match=message):
        judged.release(maximum_false_pass=limit)


def test_the_gate_refuses_a_profile_without_a_judge(tiny_lake: TinyLake) -> None:
    with pytest.raises(ReleaseRefused, match="no judge decides with the profile laptop"):
        tiny_lake.release(maximum_false_pass=0.2)
