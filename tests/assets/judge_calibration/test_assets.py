"""Calibration, review and agreement as assets, one after the other."""

from pathlib import Path
from typing import Any

import pytest
from dagster import AssetsDefinition, DagsterInstance, ExecuteInProcessResult, materialize

from assets.judge_calibration.assets import judge_calibration
from assets.review.assets import judge_agreement, review_sample
from tests.shipped_scenarios import SCENARIOS


def run(judged: Any, instance: DagsterInstance, asset: AssetsDefinition, **options: Any) -> ExecuteInProcessResult:
    """Materialise one asset with the project's resources."""
    resources = {
        "lake": judged.tiny.lake,
        "chat": judged.work.service,
        "scenarios": SCENARIOS,
        "prompts": judged.work.prompts,
        "quality_rules": judged.rules,
    }
    return materialize([asset], instance=instance, resources=resources, **options)


def metadata(result: ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(name)
    return {key: value.value for key, value in event.metadata.items()}


@pytest.fixture
def decided(judged: Any, tmp_path: Path) -> Any:
    """The project after people decided two dialogues: one as the judge did, one not."""
    path = tmp_path / "decisions.csv"
    names = [judged.tiny.dialogues[name].dialogue_id for name in ("trains", "verbs")]
    path.write_text(f"dialogue_id,verdict,why\n{names[0]},accept,good\n{names[1]},reject,unclear\n")
    judged.rules = judged.rules.model_copy(update={"decisions": path})
    judged.__post_init__()
    return judged


def test_the_calibration_shows_its_rates_and_a_plot(judged: Any, instance: DagsterInstance) -> None:
    shown = metadata(run(judged, instance, judge_calibration), "judge_calibration")
    assert shown["false alarms"] == "0.0% (0.0 to 35.4)"
    assert "![Planted faults that the judge caught, by kind](data:image/png" in shown["faults caught"]
    assert "| notes betrayed | 7 | 100.0% (64.6 to 100.0) |" in shown["by kind"]
    again = metadata(run(judged, instance, judge_calibration), "judge_calibration")
    assert again["made"] == "earlier: already there"


def test_the_sample_is_published_and_decisions_are_compared_with_the_judge(
    decided: Any, instance: DagsterInstance
) -> None:
    assert metadata(run(decided, instance, review_sample), "review_sample")["dagster/row_count"] == 8
    shown = metadata(run(decided, instance, judge_agreement), "judge_agreement")
    assert (shown["false passes"], shown["false alarms"]) == ("100.0% (20.7 to 100.0)", "0.0% (0.0 to 79.3)")
    assert shown["Cohen's kappa"].startswith("0.00 (")


def test_the_agreement_fails_below_the_least_kappa(decided: Any, instance: DagsterInstance) -> None:
    review = decided.rules.review.model_copy(update={"minimum_kappa": 0.4})
    decided.rules = decided.rules.model_copy(update={"review": review})
    result = run(decided, instance, judge_agreement, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "the quality rules require a lower end of at least 0.40" in str(failure.step_failure_data.error)
