from pathlib import Path

import pytest

from assets.dialogues.schema import DIALOGUES, REGENERATIONS
from assets.framework.partitions import Scenario
from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.partition_status import NotCurrent, expected_fingerprints, partition_statuses
from assets.quality.prompts import load_prompts
from assets.quality.schema import SCORED
from resources.chat.profile import load_profile
from tests.tiny_lake import TinyLake, eight_seeds

SHARD = "sums-0000"
DEBATE = {"scenario": "debate", "shard": SHARD}


@pytest.fixture
def tiny_lake(tmp_path: Path) -> TinyLake:
    """Eight seeds taught in three scenarios, all partitions current."""
    return eight_seeds(str(tmp_path / "lake"))


def debate(tiny_lake: TinyLake) -> NotCurrent | None:
    (status,) = [one for one in partition_statuses(tiny_lake.lake, tiny_lake.expected) if one.key == f"debate|{SHARD}"]
    return status.why


def forget(tiny_lake: TinyLake, table: str) -> None:
    store = tiny_lake.lake.store
    for file in store.list(f"_index/{table}/scenario=debate/shard={SHARD}"):
        store.delete(file.path)


def test_every_scenario_of_every_planned_shard_is_told_of(tiny_lake: TinyLake) -> None:
    keys = {status.key for status in partition_statuses(tiny_lake.lake, tiny_lake.expected)}
    assert keys == {f"{scenario.value}|{SHARD}" for scenario in Scenario}


def test_what_was_made_by_the_present_means_is_current(tiny_lake: TinyLake) -> None:
    assert debate(tiny_lake) is None


@pytest.mark.parametrize("table", [DIALOGUES.name, SCORED.name])
def test_what_was_never_written_is_missing(tiny_lake: TinyLake, table: str) -> None:
    forget(tiny_lake, table)
    assert debate(tiny_lake) == "missing"


def test_what_did_not_pass_its_gate_has_failed(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, SHARD, gate="failed")
    assert debate(tiny_lake) == "failed"


def test_what_was_made_by_other_means_is_stale(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(Scenario.DEBATE, SHARD, ("0" * 32, "0" * 32))
    assert debate(tiny_lake) == "stale"


def test_what_was_asked_for_anew_is_stale(tiny_lake: TinyLake) -> None:
    tiny_lake.lake.write(REGENERATIONS, DEBATE, REGENERATIONS.empty(), fingerprint="1" * 32)
    assert debate(tiny_lake) == "stale"


def test_scores_older_than_their_dialogues_are_stale(tiny_lake: TinyLake) -> None:
    held = tiny_lake.lake.record(DIALOGUES, DEBATE)
    assert held
    tiny_lake.lake.write(DIALOGUES, DEBATE, tiny_lake.lake.read(DIALOGUES, [DEBATE]), fingerprint=held.fingerprint)
    assert debate(tiny_lake) == "stale"


def test_no_row_is_read(tiny_lake: TinyLake) -> None:
    store = tiny_lake.lake.store
    for file in store.list(DIALOGUES.name) + store.list(SCORED.name):
        store.put(file.path, b"no Parquet")
    assert debate(tiny_lake) is None


def test_another_profile_makes_other_fingerprints_current() -> None:
    prompts, rules = load_prompts("standard"), load_quality_rules("standard")
    laptop = expected_fingerprints(load_profile("laptop"), prompts, rules)("plans", "", Scenario.DEBATE)
    paper = expected_fingerprints(load_profile("paper"), prompts, rules)("plans", "", Scenario.DEBATE)
    assert laptop[0] != paper[0]
    assert laptop[1] != paper[1]


def test_the_manual_decisions_are_read_once_for_all_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[QualityRules] = []

    def identity(rules: QualityRules) -> str:
        readings.append(rules)
        return "rules"

    monkeypatch.setattr(QualityRules, "identity", property(identity))
    expected = expected_fingerprints(load_profile("laptop"), load_prompts("standard"), load_quality_rules("standard"))
    for scenario in Scenario:
        expected("plans", "", scenario)
    assert len(readings) == 1
