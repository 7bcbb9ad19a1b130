"""The estimate in words."""

import re
from pathlib import Path
from typing import Literal

import pytest

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import Estimate, RoleEstimate
from assets.judge_calibration.estimate import CalibrationEstimate
from master_dagster.estimates import calibration_line, headline, matching_partitions
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake


@pytest.mark.parametrize(
    ("partitions", "current", "dialogues", "shown"),
    [
        (1, 0, 1, "1 dialogue in 1 partition: about 0 calls, 0 tokens, $0.00, 1 minute"),
        (2, 1, 7, "7 dialogues in 2 partitions (1 more is current): about 0 calls, 0 tokens, $0.00, 1 minute"),
        (0, 1, 0, "nothing is due: 1 partition is current"),
        (0, 3, 0, "nothing is due: 3 partitions are current"),
    ],
)
def test_the_headline_counts_in_words(partitions: int, current: int, dialogues: int, shown: str) -> None:
    assert headline(Estimate(partitions, current, dialogues, (), 0.0)) == shown


@pytest.mark.parametrize(
    ("mode", "cost", "prices"),
    [
        ("live", 2.0, r"\$2.00 \(\$1.00 in batches\), 1 minute$"),
        ("batch", 1.0, r"\$1.00 \(\$2.00 if all calls were live\), 1 minute for the live calls, and up to a day"),
    ],
)
def test_the_headline_has_both_prices(mode: Literal["live", "batch"], cost: float, prices: str) -> None:
    role = RoleEstimate("judge", "tiny", 1, 1, 1, cost, 2.0, 1.0, mode, measured=True)
    assert re.search(prices, headline(Estimate(1, 0, 1, (role,), 0.0)))


def test_a_calibration_has_the_live_price() -> None:
    role = RoleEstimate("judge", "tiny", 20, 1, 1, 2.0, 2.0, 2.0, "live", measured=True)
    line = calibration_line(CalibrationEstimate(2, 20, Estimate(0, 0, 0, (role,), 0.0)))
    assert "at most 20 items made from 2 dialogues: about 20 live calls, 2 tokens, $2.00, 1 minute more" in line


def test_a_wrong_pattern_shows_the_one_planned_key_once(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    lake.write(DIALOGUE_PLANS, {"shard": "sums-0000"}, DIALOGUE_PLANS.empty(), fingerprint="0" * 32)
    with pytest.raises(ConfigurationError, match=r"keys look like 'debate\|sums-0000'$"):
        matching_partitions(lake, ["debate"], ["nothing"])
