"""The asset, run by Dagster over the tiny lake."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, materialize

from assets.boost_qa import assets as stage
from assets.boost_qa.checks import CHECKS
from assets.boost_qa.configuration import ReleaseRules
from assets.quality.configuration import load_quality_rules
from assets.quality.prompts import load_prompts
from assets.seeds.configuration import load_seeds_configuration
from resources.chat.profile import load_profile
from resources.chat.service import ChatService
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import PROFILE, TinyLake


@pytest.fixture(autouse=True)
def tiny_partitions_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "expected_fingerprints", lambda *_: TinyLake.expected)


def run(tiny_lake: TinyLake, instance: DagsterInstance) -> ExecuteInProcessResult:
    return materialize(
        [stage.boost_qa, *CHECKS],
        instance=instance,
        raise_on_error=False,
        resources={
            "lake": tiny_lake.lake,
            "chat": ChatService(load_profile(PROFILE), tiny_lake.lake.store),
            "prompts": load_prompts("standard"),
            "quality_rules": load_quality_rules("standard"),
            "scenarios": SCENARIOS,
            "release_rules": ReleaseRules(),
            "seeds_configuration": load_seeds_configuration("demo"),
        },
    )


def metadata(result: ExecuteInProcessResult) -> Mapping[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def test_the_asset_publishes_passes_its_checks_and_shows_sample_rows_and_path(
    tiny_lake: TinyLake, instance: DagsterInstance
) -> None:
    evil = "<img src=x onerror=alert(1)> ![x](http://evil/x.png)"
    tiny_lake.change_every(words=("Q", evil, evil, evil))
    result = run(tiny_lake, instance)
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}
    shown = metadata(result)
    assert next(iter(shown)) == "sample"
    assert "**human**" in shown["sample"]
    assert not [mark for mark in ("<img", "![x](") if mark in shown["sample"]]
    assert shown["dagster/row_count"] == 7
    assert shown["path"].startswith(tiny_lake.lake.store.uri())
    assert (Path(shown["path"]) / "README.md").is_file()
    assert shown["rows by scenario"].startswith("![rows by scenario and split](data:image/png;base64,")
    assert metadata(run(tiny_lake, instance)) == shown


def test_too_little_coverage_fails_the_run_with_what_to_do(tiny_lake: TinyLake, instance: DagsterInstance) -> None:
    tiny_lake.write_partition(tiny_lake.dialogues["apples"].scenario, "sums-0000", gate="failed")
    result = run(tiny_lake, instance)
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error
    assert "materialise scenario_dialogues and scored_dialogues for these partitions" in f"{error}{error.cause}"
