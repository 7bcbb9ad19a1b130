from pathlib import Path

import pytest

from assets.dialogue_plans.configuration import PlanRules, ScenarioShares, SplitShares, load_plan_rules
from assets.framework.partitions import Scenario, Split
from resources.configuration import ConfigurationError


def test_the_shipped_rules_give_every_scenario_a_third_and_train_nine_tenths() -> None:
    rules = load_plan_rules()
    assert rules.scenarios.expected == pytest.approx(dict.fromkeys(Scenario, 1 / 3))
    assert rules.splits.expected == pytest.approx({"train": 0.9, "validation": 0.05, "test": 0.05})


def test_shares_stand_in_the_order_of_the_enumerations_since_draws_are_by_position() -> None:
    assert tuple(SplitShares.model_fields) == tuple(Split)
    assert tuple(ScenarioShares.model_fields) == tuple(Scenario)


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("splits: {train: 0, validation: 0, test: 0}\nneighbours: 0\nscenario: {}\n")
    with pytest.raises(ConfigurationError, match=r"all shares are zero") as caught:
        load_plan_rules(str(path))
    assert "neighbours" in str(caught.value)
    assert "scenario" in str(caught.value)


def test_any_other_rule_is_another_identity() -> None:
    assert PlanRules().identity == PlanRules().identity
    assert PlanRules(neighbours=4).identity != PlanRules().identity
