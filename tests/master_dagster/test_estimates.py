"""The estimate in words."""

from pathlib import Path

import pytest

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import Estimate
from master_dagster.estimates import headline, matching_partitions
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


def test_a_wrong_pattern_shows_the_one_planned_key_once(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    lake.write(DIALOGUE_PLANS, {"shard": "sums-0000"}, DIALOGUE_PLANS.empty(), fingerprint="0" * 32)
    with pytest.raises(ConfigurationError, match=r"keys look like 'debate\|sums-0000'$"):
        matching_partitions(lake, ["debate"], ["nothing"])
