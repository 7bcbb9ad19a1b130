"""The status of every planned partition. See `test_currency` for every combination of what the lake can have."""

from pathlib import Path

import pytest

from assets.dialogues.schema import DIALOGUES
from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.partition_status import expected_fingerprints, partition_statuses
from assets.quality.prompts import load_prompts
from assets.quality.schema import SCORED
from resources.chat.profile import load_profile
from tests.shipped_scenarios import NAMES, SCENARIOS
from tests.tiny_lake import eight_seeds


def test_every_scenario_of_every_planned_shard_has_a_status_from_the_index_alone(tmp_path: Path) -> None:
    tiny = eight_seeds(str(tmp_path / "lake"))
    store = tiny.lake.store
    for file in store.list(DIALOGUES.name) + store.list(SCORED.name):
        store.put(file.path, b"no Parquet")
    statuses = {status.key: status.why for status in partition_statuses(tiny.lake, tiny.expected)}
    assert statuses == {f"{scenario}|sums-0000": None for scenario in NAMES}


def test_the_manual_decisions_are_read_once_for_all_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[QualityRules] = []
    monkeypatch.setattr(QualityRules, "identity", property(lambda rules: readings.append(rules) or "rules"))
    expected = expected_fingerprints(
        load_profile("laptop"), SCENARIOS, load_prompts("standard"), load_quality_rules("standard")
    )
    for scenario in NAMES:
        expected.fingerprints("plans", "", scenario)
    assert len(readings) == 1
