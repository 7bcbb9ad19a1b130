"""Rows of plans, and the names of the checks that they fail."""

from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from dagster import AssetCheckSeverity, AssetKey, AssetSelection, DagsterInstance, materialize

from assets.dialogue_plans.assets import dialogue_plans
from assets.dialogue_plans.checks import CHECKS, FOLDER, uneven
from assets.dialogue_plans.configuration import PlanRules, SplitShares, of_the_whole
from assets.dialogue_plans.planning import plan_shards
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.check_files import sql_checks
from assets.seeds.configuration import load_seeds_configuration
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake
from tests.check_cases import Rows, failing
from tests.shipped_scenarios import SCENARIOS

WriteSeeds = Callable[..., list[str]]

SQL_CHECKS = sql_checks(FOLDER)
RESOURCES = {"scenarios": SCENARIOS}
RULES = PlanRules(
    scenarios={"error_correction": 1, "debate": 1, "analogy": 1},
    splits=SplitShares(train=1, validation=1, test=0),
)


def seed(name: str, **change: Any) -> dict[str, Any]:
    return {"seed_id": name, "source": "sums", "shard": "sums-0000", "representative": name} | change


def plan(name: str, scenario: str = "error_correction", **change: Any) -> dict[str, Any]:
    return seed(name) | {"split": "train", "scenario": scenario} | change


def analogy(partner: str | None) -> Rows:
    """The good plans, with another partner of the analogy."""
    return [plan("c", "analogy", partner_seed_id=partner) if row["seed_id"] == "c" else row for row in PLANS]


SEEDS_HELD = [
    *(seed(name) for name in "acd"),
    seed("b", representative="a"),
    seed("e", representative="c"),
    seed("f", source="words", shard="words-0000"),
]
PLANS = [
    plan("a"),
    plan("b", "debate", representative="a", repetitions=2),
    plan("c", "analogy", partner_seed_id="a"),
    plan("d", split="test"),
    plan("e", representative="c"),
]


@pytest.mark.parametrize(
    ("plans", "names"),
    [
        (PLANS, set()),
        ([], set()),
        (PLANS[1:], {"one_plan_per_seed"}),
        ([*PLANS, PLANS[0]], {"one_plan_per_seed"}),
        ([*PLANS, plan("nobody")], {"one_plan_per_seed"}),
        ([plan("a", split="test"), *PLANS[1:]], {"duplicates_in_one_split", "partner_fits"}),
        (analogy(None), {"partner_fits"}),
        (analogy("c"), {"partner_fits", "first_or_second"}),  # itself
        (analogy("e"), {"partner_fits"}),  # its near-duplicate
        (analogy("d"), {"partner_fits"}),  # in another split
        (analogy("f"), {"partner_fits"}),  # of another source
        (analogy("nobody"), {"partner_fits"}),
        ([plan("a", partner_seed_id="b"), *PLANS[1:]], {"partner_fits", "first_or_second"}),
        ([*PLANS[:3], plan("d", "analogy", partner_seed_id="c"), PLANS[4]], {"first_or_second"}),
        ([plan("a", "debate"), *PLANS[1:]], {"repetitions_drawn"}),
        ([plan("a", repetitions=1), *PLANS[1:]], {"repetitions_drawn"}),
    ],
)
def test_plans_fail_these_checks(plans: Rows, names: set[str]) -> None:
    assert (
        failing(
            SQL_CHECKS, [DIALOGUE_PLANS, SEEDS], {"dialogue_plans": plans, "raw_seeds": SEEDS_HELD}, resources=RESOURCES
        )
        == names
    )


SHARES = {"error_correction": 0.25, "debate": 0.5, "analogy": 0.25}


@pytest.mark.parametrize(
    ("plans", "column", "expected", "found"),
    [
        ({"error_correction": 10, "debate": 10, "analogy": 10}, "scenario", RULES.scenario_shares(SCENARIOS), []),
        ({"error_correction": 10, "debate": 10}, "scenario", RULES.scenario_shares(SCENARIOS), ["analogy"]),
        ({"error_correction": 10, "debate": 10, "analogy": 10}, "scenario", SHARES, []),  # chance explains it
        ({"error_correction": 300, "debate": 300, "analogy": 300}, "scenario", SHARES, [*sorted(SHARES)]),
        ({"error_correction": 20}, "split", {"train": 1.0, "validation": 0.0, "test": 0.0}, []),
        ({"error_correction": 20}, "split", of_the_whole(RULES.splits.shares), ["train", "validation"]),
        ({}, "split", of_the_whole(RULES.splits.shares), []),
    ],
)
def test_shares_that_are_uneven(plans: dict[str, int], column: str, expected: Any, found: list[str]) -> None:
    rows = [plan("a", scenario) for scenario, count in plans.items() for _ in range(count)]
    with duckdb.connect() as connection:
        connection.register("dialogue_plans", DIALOGUE_PLANS.frame(rows).to_arrow())
        assert [row["value"] for row in uneven(connection, column, expected)] == found


@pytest.mark.parametrize(("seeds", "severity"), [(30, AssetCheckSeverity.WARN), (400, AssetCheckSeverity.ERROR)])
def test_a_lopsided_mix_of_scenarios_is_a_warning_on_few_plans_and_an_error_on_many(
    lake: Lake, write_seeds: WriteSeeds, seeds: int, severity: AssetCheckSeverity
) -> None:
    write_seeds("sums-0000", seeds, representatives={1: 0})
    plan_shards(lake, "sums", ["sums-0000"], SCENARIOS, RULES)
    only_debate = RULES.model_copy(update={"scenarios": {"error_correction": 0, "debate": 1, "analogy": 0}})
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [dialogue_plans, *CHECKS],
            selection=AssetSelection.checks_for_assets(AssetKey("dialogue_plans")),
            instance=instance,
            resources={
                "lake": lake,
                **RESOURCES,
                "plan_rules": only_debate,
                "seeds_configuration": load_seeds_configuration("demo"),
            },
        )
    found = {check.check_name: (check.passed, check.severity) for check in result.get_asset_check_evaluations()}
    assert found.pop("scenario_balance") == (False, severity)
    assert {passed for passed, _ in found.values()} == {True}
