from pathlib import Path
from typing import Any

import pytest

from assets.dialogue_plans.configuration import PlanRules, SplitShares, load_plan_rules, of_the_whole
from assets.framework.partitions import Split
from assets.framework.scenarios.scenario import Scenarios
from resources.configuration import ConfigurationError
from tests.shipped_scenarios import NAMES, SCENARIOS


def test_the_shipped_rules_give_every_scenario_a_third_and_train_nine_tenths() -> None:
    rules = load_plan_rules()
    assert rules.scenario_shares(SCENARIOS) == pytest.approx(dict.fromkeys(NAMES, 1 / 3))
    assert of_the_whole(rules.splits.shares) == pytest.approx({"train": 0.9, "validation": 0.05, "test": 0.05})


def test_only_the_papers_rules_have_analogies_of_questions_that_are_hardly_similar() -> None:
    standard, paper = load_plan_rules("standard"), load_plan_rules("paper")
    assert (standard.min_similarity, paper.min_similarity) == (0.5, -1)
    assert standard.splits == paper.splits


def test_shares_are_in_one_order_since_draws_are_by_position() -> None:
    assert tuple(SplitShares.model_fields) == tuple(Split)
    assert list(PlanRules().scenario_shares(SCENARIOS)) == ["error_correction", "debate", "analogy"]


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("splits: {train: 0, validation: 0, test: 0}\nneighbours: 0\nscenario: {}\n")
    with pytest.raises(ConfigurationError, match=r"all shares are zero") as caught:
        load_plan_rules(str(path))
    assert "neighbours" in str(caught.value)
    assert "scenario" in str(caught.value)


ONE_OF_THREE = {"error_correction": 0, "debate": 0, "analogy": 0}


@pytest.mark.parametrize(
    ("rules", "faults"),
    [
        ({}, []),
        ({"scenarios": {"debate": 3}, "repetitions": {"debate": {2: 1}}}, []),
        ({"scenarios": {"debates": 1}}, ["scenarios.debates: there is no such scenario; is debate meant?"]),
        ({"repetitions": {"debates": {1: 1}}}, ["repetitions.debates: there is no such scenario; is debate meant?"]),
        ({"repetitions": {"debate": {3: 1}}}, ["repetitions.debate: the scenario draws the numbers 1, 2"]),
        ({"repetitions": {"analogy": {1: 1}}}, ["repetitions.analogy: the scenario draws the numbers none"]),
        ({"repetitions": {"debate": {1: 0}}}, ["repetitions.debate: all shares are zero"]),
        ({"scenarios": ONE_OF_THREE}, ["scenarios: all shares are zero"]),
        (
            {"scenarios": {"debates": 1}, "repetitions": {"debate": {3: 1}}},
            ["scenarios.debates: there is", "repetitions.debate: the scenario draws"],
        ),
    ],
)
def test_rules_that_do_not_fit_the_scenarios_are_named_with_every_fault(
    rules: dict[str, Any], faults: list[str]
) -> None:
    if not faults:
        PlanRules(**rules).check_scenarios(SCENARIOS)
        return
    with pytest.raises(ConfigurationError) as caught:
        PlanRules(**rules).check_scenarios(SCENARIOS)
    _, *lines = str(caught.value).splitlines()
    assert len(lines) == len(faults)
    assert all(fault in line for fault, line in zip(faults, lines, strict=True))


def test_a_deployment_needs_a_scenario_for_seeds_without_a_similar_question() -> None:
    with pytest.raises(ConfigurationError, match="every scenario needs a similar question"):
        PlanRules().check_scenarios(Scenarios([SCENARIOS["analogy"]]))


def test_any_other_rule_is_another_identity() -> None:
    assert PlanRules().identity == PlanRules().identity
    assert PlanRules(neighbours=4).identity != PlanRules().identity
