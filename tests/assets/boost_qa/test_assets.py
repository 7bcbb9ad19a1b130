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
from tests.tiny_lake import PROFILE, TinyLake


@pytest.fixture(autouse=True)
def tiny_partitions_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "expected_fingerprints", lambda *_: TinyLake.expected)


def run(tiny_lake: TinyLake, **rules: Any) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        return materialize(
            [stage.boost_qa, *CHECKS],
            instance=instance,
            raise_on_error=False,
            resources={
                "lake": tiny_lake.lake,
                "chat": ChatService(load_profile(PROFILE), tiny_lake.lake.store),
                "prompts": load_prompts("standard"),
                "quality_rules": load_quality_rules("standard"),
                "release_rules": ReleaseRules(**rules),
                "seeds_configuration": load_seeds_configuration("demo"),
            },
        )


def metadata(result: ExecuteInProcessResult) -> Mapping[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def failure(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    error = event.step_failure_data.error
    return str(error.message if error else "") + str(error.cause.message if error and error.cause else "")


def test_the_asset_publishes_and_its_checks_pass(tiny_lake: TinyLake) -> None:
    result = run(tiny_lake)
    assert result.success
    passed = {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}
    assert set(passed.values()) == {True}


def test_the_ui_shows_a_sample_the_rows_and_where_the_release_lies(tiny_lake: TinyLake) -> None:
    shown = metadata(run(tiny_lake))
    assert next(iter(shown)) == "sample"
    assert "**human**" in shown["sample"]
    assert shown["dagster/row_count"] == 7
    assert (Path(tiny_lake.lake.store.root) / shown["path"] / "README.md").is_file()
    assert not shown["path"].startswith("/")
    assert shown["rows by scenario"].startswith("![rows by scenario and split](data:image/png;base64,")


def test_a_release_that_is_there_already_is_shown_again(tiny_lake: TinyLake) -> None:
    assert metadata(run(tiny_lake)) == metadata(run(tiny_lake))


def test_too_little_coverage_fails_with_advice(tiny_lake: TinyLake) -> None:
    tiny_lake.write_partition(tiny_lake.taught["apples"].scenario, "sums-0000", gate="failed")
    result = run(tiny_lake)
    assert not result.success
    assert "materialise scenario_dialogues and scored_dialogues for these partitions" in failure(result)


def test_a_models_words_are_only_shown(tiny_lake: TinyLake) -> None:
    evil = "<img src=x onerror=alert(1)> ![x](http://evil/x.png)"
    tiny_lake.change_every(words=("Q", evil, evil, evil))
    sample = metadata(run(tiny_lake))["sample"]
    assert "<img" not in sample
    assert "![x](" not in sample
